"""The learning rate of each optimizer step, as a pure function of the step."""

import math
from typing import Literal

Schedule = Literal["constant", "constant_with_warmup", "cosine"]


def learning_rate_at(
    step: int, num_steps: int, peak: float, schedule: Schedule, warmup_steps: int = 0, floor: float = 0.0
) -> float:
    """The rate that step `step` (from 0) uses.

    Args:
        step: optimizer steps done before.
        num_steps: optimizer steps of the whole run.
        peak: the highest rate.
        schedule: constant, or a cosine from the peak to the floor (Loshchilov & Hutter 2016, arXiv:1608.03983).
        warmup_steps: steps over which the rate rises linearly; step 0 then uses peak / warmup_steps.
        floor: where the cosine ends.
    """
    if step < warmup_steps:
        return peak * (step + 1) / warmup_steps
    if schedule != "cosine":
        return peak
    done = (step - warmup_steps) / max(1, num_steps - warmup_steps - 1)
    return floor + (peak - floor) * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))

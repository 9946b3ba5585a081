"""Did the run learn its pictures by heart? The last LoRA beside the best, on pictures that neither has seen."""

import math

from scumble.train.validation import Measured, band_names

CERTAIN = 2.0
"""Standard errors from which on a difference is no chance."""


def overfitting_in_words(best: Measured, last: Measured, best_step: int, last_step: int) -> tuple[str, bool] | None:
    """A sentence, and whether it is a warning; None where the last step is the best.

    The samples are the same, so their differences are compared, not their means: of these the chance is much smaller.

    Args:
        best: of the step with the lowest held-out loss.
        last: of the last step.
        best_step, last_step: their numbers.
    """
    if best_step >= last_step or last.loss <= best.loss:
        return None
    differences = last.losses - best.losses
    error = float(differences.std()) / math.sqrt(len(differences)) if len(differences) > 1 else math.inf
    rise = last.loss / best.loss - 1
    if float(differences.mean()) < CERTAIN * error:
        return (
            f"the held-out loss of step {last_step} is {rise:.1%} above that of step {best_step}, which may be chance: the "
            "last LoRA and the best are as good",
            False,
        )
    return (
        f"overfitting: since step {best_step} the held-out loss has risen by {rise:.1%} ({best.loss:.4f} to {last.loss:.4f}), "
        f"most at timesteps {_worst_band(best, last)}: the steps after it learnt the training pictures rather than what they "
        "have in common. Take the best LoRA, or train fewer steps",
        True,
    )


def _worst_band(best: Measured, last: Measured) -> str:
    rises = [after - before for before, after in zip(best.bands, last.bands, strict=True)]
    return band_names(best.num_timesteps)[rises.index(max(rises))]

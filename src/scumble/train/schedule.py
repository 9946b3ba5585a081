"""The learning rate of each optimizer step, as a pure function of the step."""

import math
from dataclasses import dataclass

from scumble.config.optimizer import FALLING, Schedule

ONE_CYCLE_START = 25
"""One-cycle begins at its peak divided by this."""
ONE_CYCLE_WARMUP = 0.3
"""Share of the run in which one-cycle rises, where nobody says."""
FLOOR = 100
"""A falling rate ends at its peak divided by this, where nobody says."""
ONE_CYCLE_FLOOR = ONE_CYCLE_START * 10_000
"""The same of one-cycle."""


@dataclass(frozen=True)
class Rates:
    """How the learning rate moves over a run.

    It rises linearly over the warm-up, whose first step has peak / warmup_steps and whose last has the peak: no step has
    rate zero. From there it falls so that the run's last step has the floor.

    Attributes:
        peak: the highest rate.
        num_steps: optimizer steps of the whole run.
        schedule: constant (with or without warm-up); linear; cosine, without or with restarts at the peak (Loshchilov &
            Hutter 2016, arXiv:1608.03983); polynomial; rex (Chen et al. 2021, arXiv:2107.04197); one_cycle, whose warm-up
            is half a cosine from peak / 25 (Smith & Topin 2017, arXiv:1708.07120).
        warmup_steps: steps in which the rate rises.
        floor: where a falling rate ends.
        cycles: of cosine_with_restarts.
        power: of polynomial.
    """

    peak: float
    num_steps: int
    schedule: Schedule = "cosine"
    warmup_steps: int = 0
    floor: float = 0.0
    cycles: int = 1
    power: float = 1.0

    def at(self, step: int) -> float:
        """The rate that a step uses.

        Args:
            step: optimizer steps done before.
        """
        if self.schedule == "one_cycle":
            return self._one_cycle(step)
        if step < self.warmup_steps:
            return self.peak * (step + 1) / self.warmup_steps
        if self.schedule not in FALLING:
            return self.peak
        done = (step - self.warmup_steps) / max(1, self.num_steps - self.warmup_steps - 1)
        return self.floor + (self.peak - self.floor) * self._left(min(1.0, done))

    @property
    def unusual(self) -> tuple[str, ...]:
        """What of a run of this length is hardly what was meant, in words."""
        remarks = []
        if self.warmup_steps > self.num_steps:
            last = self.at(self.num_steps - 1)
            remarks.append(f"the run ends before the warm-up does, at a rate of {last:g}")
        if self.cycles > self.num_steps:
            remarks.append("more cycles than steps")
        return tuple(remarks)

    def _left(self, done: float) -> float:
        """What is left, in 0..1, after this share of the way down."""
        match self.schedule:
            case "cosine":
                return _half_cosine(done)
            case "cosine_with_restarts":
                return _half_cosine(self.cycles * done % 1.0) if done < 1 else 0.0
            case "polynomial":
                return float((1 - done) ** self.power)
            case "rex":
                return (1 - done) / (0.5 + 0.5 * (1 - done))
            case _:
                return 1 - done

    def _one_cycle(self, step: int) -> float:
        top = max(0, self.warmup_steps - 1)
        if step < top:
            start = self.peak / ONE_CYCLE_START
            return self.peak + (start - self.peak) * _half_cosine(step / top)
        done = min(1.0, (step - top) / max(1, self.num_steps - 1 - top))
        return self.floor + (self.peak - self.floor) * _half_cosine(done)


def usual_floor(schedule: Schedule, peak: float) -> float | None:
    """Where a schedule ends when nobody says: 1 % of the peak, of one-cycle what its authors have; None = it does not fall."""
    if schedule not in FALLING:
        return None
    return peak / (ONE_CYCLE_FLOOR if schedule == "one_cycle" else FLOOR)


def usual_warmup(schedule: Schedule, num_steps: int) -> int:
    """Steps in which the rate rises when nobody says: none, but 30 % of the run in one-cycle."""
    return round(ONE_CYCLE_WARMUP * num_steps) if schedule == "one_cycle" else 0


def _half_cosine(done: float) -> float:
    return 0.5 * (1 + math.cos(math.pi * done))

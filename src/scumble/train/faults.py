"""What went wrong in a run and what was done about it: a record that every checkpoint holds."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Faults:
    """What went wrong so far.

    Attributes:
        parts: into how many parts a batch is split since memory ran out; 1 = it never did.
        rate_factor: what the learning rate is multiplied with since the run went back.
        skipped: numbers, from 1, of the optimizer steps that are left out.
        returns: (step that failed, step gone back to), in the order in which that happened.
        overflowed: steps that did nothing because their gradient was beyond float16.
    """

    parts: int = 1
    rate_factor: float = 1.0
    skipped: set[int] = field(default_factory=set)
    returns: list[tuple[int, int]] = field(default_factory=list)
    overflowed: int = 0

    def skipped_in_a_row(self, step: int) -> int:
        """How many steps before this one, without a gap, are left out."""
        first = step
        while first - 1 in self.skipped:
            first -= 1
        return step - first

    def returns_to(self, step: int) -> int:
        """How often in a row, of late, the run went back to this step."""
        count = 0
        for _, back in reversed(self.returns):
            if back != step:
                break
            count += 1
        return count

    def state(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "parts": self.parts,
            "rate_factor": self.rate_factor,
            "skipped": sorted(self.skipped),
            "returns": self.returns,
            "overflowed": self.overflowed,
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> "Faults":
        """Those of a checkpoint."""
        return cls(
            int(state["parts"]),
            float(state["rate_factor"]),
            set(map(int, state["skipped"])),
            [(int(failed), int(back)) for failed, back in state["returns"]],
            int(state["overflowed"]),
        )

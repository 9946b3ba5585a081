"""The measured numbers of a cell, as a file in its folder: written whole when the cell is measured, and taken as they are."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from scumble.files.atomic import write_atomically
from scumble.metrics.base import Measured
from scumble.sweep.drawing import SAMPLER, STEPS
from scumble.sweep.record import Record

FILE_NAME = "numbers.json"


@dataclass(frozen=True)
class Measuring:
    """What is measured of each cell.

    Attributes:
        metrics: names, in the order in which they are measured; () = nothing is.
        prompts: what the LoRAs are for.
        other_prompts: what they shall leave as it is.
        seeds: each prompt is drawn with each.
        clip: CLIP model that looks at the pictures; None = there is none.
    """

    metrics: tuple[str, ...] = ()
    prompts: tuple[str, ...] = ()
    other_prompts: tuple[str, ...] = ()
    seeds: tuple[int, ...] = ()
    clip: str | None = None

    def decided_by(self, record: Record) -> str:
        """A hash of what decides a cell's numbers, but for which of them are wanted."""
        values = {**asdict(self), "metrics": None, "drawn": [STEPS, SAMPLER], "lora": record.best_sha256}
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Numbers:
    """What was measured of a cell.

    Attributes:
        decided_by: see `Measuring.decided_by`.
        measured: metric -> its numbers.
        lacking: metric -> why it could not be measured.
    """

    decided_by: str
    measured: Mapping[str, tuple[Measured, ...]] = field(default_factory=dict)
    lacking: Mapping[str, str] = field(default_factory=dict)

    def of(self, metrics: tuple[str, ...]) -> list[Measured]:
        """The numbers of these metrics, as far as they are there."""
        return [number for name in metrics for number in self.measured.get(name, ())]


def write_numbers(numbers: Numbers, run: Path) -> None:
    """Keep a cell's numbers in the folder of its run."""
    write_atomically(run / FILE_NAME, (json.dumps(asdict(numbers), indent=1, ensure_ascii=False) + "\n").encode())


def read_numbers(run: Path, decided_by: str) -> Numbers:
    """The numbers in the folder of a run; none of them where there are none, or of other pictures or another LoRA."""
    nothing = Numbers(decided_by)
    path = run / FILE_NAME
    if not path.exists():
        return nothing
    try:
        values = json.loads(path.read_bytes())
        measured = {name: tuple(Measured(**each) for each in found) for name, found in values.pop("measured").items()}
        found = Numbers(**values, measured=measured)
    except (ValueError, KeyError, TypeError, AttributeError):
        return nothing  # they are measured anew
    return found if found.decided_by == decided_by else nothing

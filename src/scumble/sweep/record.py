"""What became of a cell, as a file in its folder: written once, whole, when the cell is done or has failed for good."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from scumble.errors import CheckpointError, DivergedError
from scumble.files.atomic import write_atomically

if TYPE_CHECKING:
    from scumble.sweep.cells import Cell

FILE_NAME = "cell.json"


@dataclass(frozen=True)
class Record:
    """A cell's figures.

    Attributes:
        name: of the cell.
        words: of the cell, for people.
        values: "section.setting" -> value of what cells differ in.
        settings: what decides the numbers of its LoRA, as training knows a run again by.
        state: done, or failed.
        kind, reason: of an error, its class and its words; "" = there was none.
        steps, pictures_a_step: what it was trained on: their product is the budget.
        file, best_file: the LoRA of the last step and of the lowest validation loss, relative to the sweep's folder.
        sha256, best_sha256: of these files.
        validations: (step, loss) of each validation; the first is before any training.
        best_step: of the lowest.
        losses: of each sample of the validation set, with the best file read back.
        num_bytes: of the LoRA.
        seconds: at work, pauses left out.
        peak_bytes: of memory at most: on a GPU of tensors, elsewhere of the process.
        trainable: numbers in the adapter.
        device: where it trained.
    """

    name: str
    words: str
    values: Mapping[str, Any]
    settings: Mapping[str, str] = field(default_factory=dict)
    state: Literal["done", "failed"] = "done"
    kind: str = ""
    reason: str = ""
    steps: int = 0
    pictures_a_step: int = 0
    file: str = ""
    best_file: str = ""
    sha256: str = ""
    best_sha256: str = ""
    validations: tuple[tuple[int, float], ...] = ()
    best_step: int = 0
    losses: tuple[float, ...] = ()
    num_bytes: int = 0
    seconds: float = 0.0
    peak_bytes: int = 0
    trainable: int = 0
    device: str = ""

    @property
    def is_done(self) -> bool:
        """Whether it was trained to its end."""
        return self.state == "done"

    @property
    def is_final(self) -> bool:
        """Whether the same command leaves it as it is: what ended for lack of memory or disk may go better later."""
        return self.is_done or self.kind == DivergedError.__name__

    @property
    def before(self) -> float:
        """The validation loss before training."""
        return self.validations[0][1]

    @property
    def after(self) -> float:
        """The validation loss after the last step."""
        return self.validations[-1][1]

    @property
    def best(self) -> float:
        """The lowest validation loss."""
        return min(loss for _, loss in self.validations)


def failed(cell: "Cell", kind: str, reason: str) -> Record:
    """The record of a cell that came to no end.

    Args:
        cell: which.
        kind, reason: of the error, its class and its words.
    """
    return Record(cell.name, cell.words, cell.values, state="failed", kind=kind, reason=reason)


def write_record(record: Record, run: Path) -> None:
    """Keep a record in the folder of its run."""
    run.mkdir(parents=True, exist_ok=True)
    write_atomically(run / FILE_NAME, (json.dumps(asdict(record), indent=1, ensure_ascii=False) + "\n").encode())


def read_record(run: Path) -> Record | None:
    """The record in the folder of a run; None where there is none yet.

    Raises:
        CheckpointError: it cannot be understood.
    """
    path = run / FILE_NAME
    if not path.exists():
        return None
    try:
        values = json.loads(path.read_bytes())
        validations = tuple((int(step), float(loss)) for step, loss in values.pop("validations"))
        losses, varied = tuple(map(float, values.pop("losses"))), _untupled(values.pop("values"))
        return Record(**values, validations=validations, losses=losses, values=varied)
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"{path}: no record of a cell ({error}); remove it, and the cell is finished anew"
        ) from None


def _untupled(values: Mapping[str, Any]) -> dict[str, Any]:
    """JSON knows no tuples: what came back as a list was one."""
    return {place: tuple(value) if isinstance(value, list) else value for place, value in values.items()}

"""What a process is given to do a cell: everything as plain values, so that it can be one of another machine."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from scumble.config import TrainConfig, from_values
from scumble.sweep.cells import Cell
from scumble.sweep.drawing import Drawing


@dataclass(frozen=True)
class Job:
    """A cell to do.

    Attributes:
        cell: which.
        sweep: folder of the sweep.
        drawing: the pictures to draw with it.
        threads: that compute.
    """

    cell: Cell
    sweep: Path
    drawing: Drawing
    threads: int

    def to_json(self) -> str:
        """The job as one line."""
        cell = {
            "name": self.cell.name,
            "words": self.cell.words,
            "values": dict(self.cell.values),
            "config": self.cell.config.model_dump(mode="json"),
        }
        values = {"cell": cell, "sweep": str(self.sweep), "drawing": asdict(self.drawing), "threads": self.threads}
        return json.dumps(values)

    @classmethod
    def from_json(cls, line: str) -> "Job":
        """What `to_json` wrote."""
        values = json.loads(line)
        cell, drawing = values["cell"], values["drawing"]
        return cls(
            Cell(cell["name"], cell["words"], cell["values"], from_values(TrainConfig, cell["config"])),
            Path(values["sweep"]),
            Drawing(tuple(drawing["prompts"]), tuple(drawing["seeds"])),
            values["threads"],
        )

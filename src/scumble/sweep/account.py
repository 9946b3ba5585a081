"""What there is to report of a sweep, as far as it has come."""

from collections.abc import Sequence
from dataclasses import dataclass

from scumble.sweep.drawing import Drawing
from scumble.sweep.record import Record


@dataclass(frozen=True)
class Account:
    """What is reported.

    Attributes:
        title: the sweep's name.
        records: of the cells that are done or failed.
        total: cells that there will be.
        budget: of each cell, in words.
        drawing: the pictures.
    """

    title: str
    records: Sequence[Record]
    total: int
    budget: str
    drawing: Drawing

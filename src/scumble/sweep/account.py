"""What there is to report of a sweep, as far as it has come."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from scumble.metrics.base import Measured
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
        numbers: cell's name -> what was measured of it.
        lacking: metric -> why it could not be measured.
    """

    title: str
    records: Sequence[Record]
    total: int
    budget: str
    drawing: Drawing
    numbers: Mapping[str, Sequence[Measured]] = field(default_factory=dict)
    lacking: Mapping[str, str] = field(default_factory=dict)

"""What comparing says beside what drawing says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from scumble.generate.events import Composed, Noted

if TYPE_CHECKING:
    from pathlib import Path

    from PIL import Image

    from scumble.generate.recipe import Recipe


@dataclass(frozen=True)
class LaidOut:
    """The tables, before anything is drawn.

    Attributes:
        columns, rows, tables: how many of each.
        pictures: that differ, in as many cells or more.
        kept: of the pictures, those that lie there from an earlier time.
    """

    columns: int
    rows: int
    tables: int
    pictures: int
    kept: int


@dataclass(frozen=True)
class Drawn:
    """A picture that was drawn, or why it could not be.

    Attributes:
        recipe: of the picture.
        image: None where it could not be drawn.
        reason: why not.
        done, total: pictures so far, and of all that were to draw.
        seconds_left: as measured on those so far.
    """

    recipe: Recipe
    image: Image.Image | None
    reason: str
    done: int
    total: int
    seconds_left: float


@dataclass(frozen=True)
class PageWritten:
    """The page of a comparison, now on the disk."""

    path: Path


Event = Noted | LaidOut | Drawn | Composed | PageWritten

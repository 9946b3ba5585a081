"""What drawing says while it runs. The command line prints these, a page streams them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from PIL import Image

    from scumble.generate.recipe import Made, Recipe


@dataclass(frozen=True)
class Noted:
    """Something the person should know: a chosen default, a cut prompt, a setting read in an old spelling.

    `about` names what it is a verdict on, for whoever looks for it later; "" = nothing in particular.
    """

    text: str
    warning: bool = False
    about: str = ""


@dataclass(frozen=True)
class Painted:
    """A picture that now lies on the disk. `index` counts from 1 to `total`; `made` says with what it was drawn."""

    path: Path
    image: Image.Image
    recipe: Recipe
    index: int
    total: int
    made: Made | None = None


@dataclass(frozen=True)
class Composed:
    """A labelled picture made of several, now on the disk; `what` says which, such as "strip" or "comparison"."""

    path: Path
    image: Image.Image
    what: str


Event = Noted | Painted | Composed

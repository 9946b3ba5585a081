"""The cells: each with its recipe, and in the end with its picture or the reason why there is none."""

from collections.abc import Mapping
from dataclasses import dataclass

from PIL import Image

from scumble.compare.bases import OnBase, refused_on
from scumble.compare.draft import recipe_of, why_not
from scumble.compare.layout import Layout, Spot
from scumble.errors import ConfigError
from scumble.generate.recipe import Recipe


@dataclass(frozen=True)
class Cell:
    """One place of the tables.

    Attributes:
        recipe: what it is drawn from.
        base: the base as the layout names it.
        image: None where it could not be drawn, or not yet.
        reason: why not; "" while nothing stands against it.
    """

    recipe: Recipe
    base: str | None
    image: Image.Image | None = None
    reason: str = ""


def cells_of(layout: Layout, bases: Mapping[str | None, OnBase]) -> dict[Spot, Cell]:
    """Every cell before it is drawn.

    Raises:
        ConfigError: a value of an axis with which nothing can be drawn, whatever the other axes say.
    """
    cells, reasons = {}, {}
    for spot, draft in layout.drafts.items():
        on_base = bases[draft.base]
        recipe = recipe_of(draft, on_base.base, on_base.hashes)
        reasons[spot] = why_not(draft, recipe, on_base.base)
        refused = refused_on(on_base, [lora.name for lora in draft.loras])
        cells[spot] = Cell(recipe, draft.base, reason=reasons[spot] or refused)
    for side, axis in enumerate(layout.axes):
        for index in range(len(axis.choices)):
            said = [reason for spot, reason in reasons.items() if spot[side] == index]
            if all(said):
                raise ConfigError(said[0])
    return cells

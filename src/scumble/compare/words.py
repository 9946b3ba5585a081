"""What stands above and beside the tables: what all cells share, and the labels of the axes."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from scumble.compare.axis import BASE, REPLACED, SEED, SUBJECT, Axis
from scumble.compare.cells import Cell
from scumble.compare.kin import Kin, below
from scumble.compare.layout import Layout, Spot
from scumble.generate.recipe import Recipe, plain_number
from scumble.quantities import counted


def labels_of(axis: Axis, bases: Sequence[str], kins: Sequence[Kin]) -> list[str]:
    """What stands beside the rows or above the columns of an axis.

    Args:
        axis: x, y or z.
        bases: names of the opened bases, in the order of a base axis.
        kins: how they are related to those of the LoRAs, which a base axis says below each name.
    """
    labels = [choice.label for choice in axis.choices]
    if axis.kind != BASE:
        return labels
    return [f"{label}\n{below(base, kins)}".strip() for label, base in zip(labels, bases, strict=True)]


def title_of(layout: Layout, cells: Mapping[Spot, Cell]) -> str:
    """The line above everything: what differs, or the base where that is the usual comparison."""
    sides = [
        f"{what}: {axis.name}"
        for what, axis in zip(("columns", "rows", "tables"), layout.axes, strict=True)
        if axis.kind not in ("", SUBJECT)
    ]
    differ = "; ".join(sides)
    return differ[:1].upper() + differ[1:] or Path(next(iter(cells.values())).recipe.base).name


def facts_of(layout: Layout, recipes: Sequence[Recipe]) -> str:
    """What is the same in every cell and stands on no label."""
    everywhere = set.intersection(*(set(recipe.loras) for recipe in recipes))
    facts = [
        _same({f"base {Path(recipe.base).name}" for recipe in recipes}),
        _same({recipe.sampler for recipe in recipes}),
        _same({f"{recipe.steps} steps" for recipe in recipes}),
        _same({f"guidance {plain_number(recipe.guidance_scale)}" for recipe in recipes}),
        _same({f"{recipe.width} x {recipe.height}" for recipe in recipes}),
        "" if layout.has(SEED) else _seeds(recipes),
        *(lora.tag for lora in recipes[0].loras if lora in everywhere),
    ]
    prompts = {recipe.prompt for recipe in recipes}
    if not layout.has(SUBJECT) and (len(prompts) == 1 or layout.has(REPLACED)):
        facts.insert(0, f'"{recipes[0].prompt}"')
    return ", ".join(fact for fact in facts if fact)


def failures_of(cells: Mapping[Spot, Cell]) -> str:
    """How many cells have no picture, and why; "" if all have one."""
    failed = [cell.reason for cell in cells.values() if cell.image is None]
    if not failed:
        return ""
    reasons = list(dict.fromkeys(failed))
    more = f"; and {counted(len(reasons) - 1, 'other reason')}" if len(reasons) > 1 else ""
    return f"{counted(len(failed), 'cell')} of {len(cells)} could not be drawn: {reasons[0]}{more}"


def _same(values: set[str]) -> str:
    return next(iter(values)) if len(values) == 1 else ""


def _seeds(recipes: Sequence[Recipe]) -> str:
    """They count up from the first."""
    first, last = (each(recipe.seed for recipe in recipes) for each in (min, max))
    return f"seed {first}" if first == last else f"seeds {first} to {last}"

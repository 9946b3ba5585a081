"""What a person is shown of a sweep before it starts: the cells, the budget, and what it will cost."""

from collections.abc import Iterator, Sequence

from scumble.check.forecast import Forecast
from scumble.quantities import amount, counted
from scumble.sweep.axes import ALPHA, RANK, Axis
from scumble.sweep.cells import Cell
from scumble.sweep.page import spent
from scumble.sweep.room import Room
from scumble.sweep.setup import Setup
from scumble.train.events import Planned, Tabled
from scumble.train.plan import Plan


def budget_of(plan: Plan) -> str:
    """How much each cell is trained, in words."""
    a_step = plan.config.training.samples_a_step
    pictures = plan.num_steps * a_step
    return f"{counted(plan.num_steps, 'step')} of {counted(a_step, 'picture')}, {pictures:,} pictures seen"


def card_of(setup: Setup, plan: Plan, total: int, room: Room, threads: int) -> Planned:
    """The card of a sweep.

    Args:
        setup: the sweep.
        plan: of one of its cells.
        total: how many cells.
        room: how many at once.
        threads: of each.
    """
    own = setup.config.cells
    held_out = len(plan.split.held_out)
    asked = (
        f"{counted(held_out, 'picture')} held out"
        if held_out
        else "all pictures, as too few are there to hold some out"
    )
    card = {
        "cells": f"{total}, {_how(setup)}",
        "varied": "; ".join(map(_said, setup.axes)) + _alpha(setup),
        "budget": f"of each cell: {budget_of(plan)}",
        "base": f"{plan.base.name}, on {plan.device}",
        "pictures": f"{len(plan.split.training)} to train on",
        "validation": f"{asked}; the same pictures, noise and timesteps in every cell",
        "at once": f"{room.workers} ({room.why}), {counted(threads, 'thread')} each"
        + (", on a Ray cluster" if own.engine == "ray" else ""),
        "drawn": f"{len(setup.drawing.columns)} pictures by the base and by each cell",
        "measured": _measured(setup),
        "folder": str(setup.folder.path),
    }
    return Planned(f"{setup.name}: a sweep", card)


def _measured(setup: Setup) -> str:
    own = setup.config.numbers
    if not own.metric_pictures:
        return "nothing"
    names = ", ".join(own.metrics) or "what costs little"
    return f"{names}, from {counted(own.metric_pictures, 'picture')} of each prompt, when all cells are trained"


def _how(setup: Setup) -> str:
    match setup.config.cells.strategy:
        case "grid":
            return "the whole grid"
        case "random":
            return "chosen by chance"
    return "chosen by Optuna from what the ones before gave"


def _said(axis: Axis) -> str:
    values = ("+".join(value) if isinstance(value, tuple) else str(value) for value in axis.values)
    return f"{axis.place} = {', '.join(values)}"


def _alpha(setup: Setup) -> str:
    places = {axis.place for axis in setup.axes}
    is_derived = RANK in places and ALPHA not in places and setup.base.adapter.alpha is None
    return "; alpha = 2 x rank" if is_derived else ""


def table_of(cells: Sequence[tuple[Cell, Plan]]) -> Tabled:
    """The cells before they are trained."""
    rows = [[cell.words, f"{plan.trainable:,}", f"{plan.num_steps:,}"] for cell, plan in cells]
    return Tabled("the cells", ["cell", "numbers", "steps"], rows)


def cost_of(forecast: Forecast, total: int, room: Room) -> Planned:
    """What a sweep will cost, by what the miniature of its largest cell said."""
    return Planned("What it will cost, measured on the largest cell", dict(_costs(forecast, total, room)))


def _costs(forecast: Forecast, total: int, room: Room) -> Iterator[tuple[str, str]]:
    assert forecast.probe is not None
    if forecast.seconds is None or forecast.peak_bytes is None or forecast.estimate is None:
        yield "measured", f"the run in miniature gave no figures: {forecast.probe.problem}"
        return
    rounds = -(-total // room.workers)
    yield "memory", f"{amount(forecast.peak_bytes)} a cell, {amount(room.workers * forecast.peak_bytes)} at once"
    yield (
        "time",
        f"about {spent(forecast.seconds)} a cell, {spent(rounds * forecast.seconds)} in all, the pictures side by side aside",
    )
    yield "disk", f"{amount(total * forecast.estimate.run_bytes)} in all"

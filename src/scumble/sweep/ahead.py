"""Looking ahead: how many cells fit at once, and what a sweep will cost, by its largest cell in miniature."""

from collections.abc import Generator, Iterator, Sequence

from scumble.check.forecast import Forecast, forecast
from scumble.check.probe import MEASURING, probe
from scumble.config.sweep import SweepConfig
from scumble.generate.events import Noted
from scumble.sweep.card import card_of, cost_of, table_of
from scumble.sweep.cells import Cell
from scumble.sweep.room import Room, cores, free_bytes, gpus_for, room_as_told, room_for
from scumble.sweep.setup import Setup, planned_cells, set_up
from scumble.train.events import Event
from scumble.train.plan import Plan

Planned = Sequence[tuple[Cell, Plan]]


def dry_run(config: SweepConfig, is_measured: bool) -> Iterator[Event]:
    """Show the cells of a sweep, and what it will cost; nothing is written.

    Args:
        config: the settings.
        is_measured: run the largest cell in miniature.
    Raises:
        ScumbleError: what the sweep would end with.
    """
    setup = yield from set_up(config)
    cells = planned_cells(setup)
    total = setup.config.cells.num_cells or len(cells)
    if setup.listed() is not None:
        yield table_of(cells)
    foretold = None
    if is_measured:
        foretold = yield from foresee(cells)
    room = room_of(setup, cells, total, foretold)
    yield card_of(setup, cells[0][1], total, room, room.threads)
    if foretold is not None:
        yield cost_of(foretold, total, room)


def foresee(cells: Planned) -> Generator[Noted, None, Forecast]:
    """What the largest cell will take."""
    cell, plan = max(cells, key=lambda each: each[1].trainable)
    yield Noted(f"{MEASURING}: {cell.words}, {plan.base.name} on {plan.device}")
    return forecast(plan, probe(plan, threads=1 if plan.device.type == "cpu" else None))


def is_to_be_measured(setup: Setup, total: int) -> bool:
    """Whether the number of cells at once depends on what one takes."""
    return setup.config.cells.workers == "auto" and total > 1 and cores() > 1


def room_of(setup: Setup, cells: Planned, total: int, foretold: Forecast | None) -> Room:
    """How many cells at once.

    Args:
        setup: the sweep.
        cells: with their plans; at least one.
        total: how many cells there will be.
        foretold: of the largest cell, where it was measured.
    """
    device, workers = cells[0][1].device, setup.config.cells.workers
    gpus = gpus_for(device)
    if workers != "auto":
        return room_as_told(workers, total, cores(), gpus)
    if foretold is None or foretold.peak_bytes is None:
        return room_as_told(1, total, cores(), gpus)
    return room_for(total, foretold.peak_bytes, free_bytes(device), cores(), gpus)

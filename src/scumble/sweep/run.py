"""A sweep, as a generator of events: cells are trained until all are done; to stop it, stop asking: every cell saves."""

from collections.abc import Iterator
from time import monotonic, sleep

from scumble.config import write_toml
from scumble.config.sweep import SweepConfig
from scumble.errors import ConfigError
from scumble.files.atomic import write_atomically
from scumble.generate.events import Noted
from scumble.processes import share_of
from scumble.sweep.account import Account
from scumble.sweep.ahead import foresee, is_to_be_measured, room_of
from scumble.sweep.card import budget_of, card_of
from scumble.sweep.crew import Crew
from scumble.sweep.folder import open_sweep
from scumble.sweep.leader import Leader
from scumble.sweep.local import Local
from scumble.sweep.measuring import measure_cells, measuring_of, numbers_of
from scumble.sweep.number_table import short_table
from scumble.sweep.numbers import Measuring
from scumble.sweep.on_ray import OnRay
from scumble.sweep.page import spent
from scumble.sweep.report import write_report
from scumble.sweep.room import Room
from scumble.sweep.setup import Setup, planned_cells, set_up
from scumble.train.events import Event, Finished, Prepared, Tabled
from scumble.train.journal import journaled

SECONDS_BETWEEN_LOOKS = 0.3


def sweep(config: SweepConfig) -> Iterator[Event]:
    """Train every cell of a sweep, and report what to keep.

    Closing the generator lets every cell at work save a checkpoint first; the same settings go on from there, and what is
    done is not done again.

    Yields:
        Noted, Planned, Prepared, Tabled, and at the end Finished.
    Raises:
        ScumbleError: settings, pictures or a folder that cannot be used. What ends a cell alone ends no sweep.
    """
    if share_of().count > 1:
        raise ConfigError("a sweep starts its own processes: run it without torchrun, and see workers")
    started = monotonic()
    setup = yield from set_up(config)
    with open_sweep(setup.folder, config.output.overwrite):
        facts = {"name": setup.name, "axes": {axis.place: axis.values for axis in setup.axes}}
        yield from journaled(_sweep(setup, started), setup.folder.journal, facts, goes_on=True)


def _sweep(setup: Setup, started: float) -> Iterator[Event]:
    cells = planned_cells(setup)
    first = cells[0][1]
    write_atomically(setup.folder.settings, write_toml(_repeatable(setup.config)).encode())
    choice, measuring = setup.choice(), measuring_of(setup, first)
    foretold = None
    if is_to_be_measured(setup, choice.total):
        foretold = yield from foresee(cells)
    room = room_of(setup, cells, choice.total, foretold)
    threads = setup.folder.keep_threads(room.threads)
    yield from first.notes
    yield card_of(setup, first, choice.total, room, threads)
    leader = Leader(setup, choice, _crew(setup, room, threads), room.workers, threads)
    try:
        yield from _work(leader, first.num_steps * choice.total, budget_of(first), measuring)
    finally:
        leader.crew.stop()
    yield from measure_cells(setup, list(leader.records.values()), measuring)
    yield from _end(leader, budget_of(first), measuring, started)


def _repeatable(config: SweepConfig) -> SweepConfig:
    return config.model_copy(update={"output": config.output.model_copy(update={"overwrite": False})})


def _crew(setup: Setup, room: Room, threads: int) -> Crew:
    own = setup.config.cells
    if own.engine == "ray":
        return OnRay(own.ray_address, 1.0 if room.gpus else 0.0, room.workers * threads)
    return Local(setup.folder.logs, room.gpus)


def _work(leader: Leader, num_steps: int, budget: str, measuring: Measuring) -> Iterator[Event]:
    """Start what fits, look at what ended, until nothing is left."""
    while True:
        yield from leader.start_what_fits()
        if not leader.running:
            return
        done = leader.steps_done()
        words = f"{len(leader.records)} of {leader.choice.total} cells, {len(leader.running)} at work; steps of all"
        yield Prepared(words, min(done, num_steps - 1), num_steps)
        sleep(SECONDS_BETWEEN_LOOKS)
        ended = list(leader.look())
        yield from ended
        if ended:
            write_report(leader.setup.folder, account_of(leader, budget, measuring))


def account_of(leader: Leader, budget: str, measuring: Measuring) -> Account:
    """What there is to report so far."""
    setup, records = leader.setup, list(leader.records.values())
    known = {record.name: numbers_of(setup, record, measuring) for record in records if record.is_done}
    return Account(
        setup.name,
        records,
        leader.choice.total,
        budget,
        setup.drawing,
        {name: numbers.of(measuring.metrics) for name, numbers in known.items()},
        {metric: why for numbers in known.values() for metric, why in numbers.lacking.items()},
    )


def _end(leader: Leader, budget: str, measuring: Measuring, started: float) -> Iterator[Event]:
    setup, seconds = leader.setup, monotonic() - started
    account = account_of(leader, budget, measuring)
    advice = write_report(setup.folder, account)
    records = list(leader.records.values())
    done = [record for record in records if record.is_done]
    rows = [
        [record.words, f"{record.before:.4f}", f"{record.after:.4f}", f"{record.best:.4f}", spent(record.seconds)]
        for record in done
    ]
    if done:
        yield Tabled("validation loss", ["cell", "before", "after", "lowest", "time"], rows)
    if any(account.numbers.values()):
        yield short_table(account)
    yield Noted(f"keep {advice.words}" if advice.name else advice.words)
    folder = setup.folder
    places = {"report": folder.report, "figures": folder.figures, "curves": folder.curves, "side by side": folder.grid}
    files = {what: place for what, place in places.items() if place.exists()}
    chosen = next((record for record in done if record.name == advice.name), None)
    if chosen is not None:
        files["the LoRA to keep"] = folder.path / chosen.best_file
    yield Finished(sum(record.steps for record in done), files, {"cells": len(done), "seconds": seconds})

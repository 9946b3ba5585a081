"""Leads the cells of a sweep: starts as many as fit, and keeps what becomes of them."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from scumble.generate.events import Noted
from scumble.sweep.cells import Cell
from scumble.sweep.choice import Choice, Values
from scumble.sweep.crew import Crew
from scumble.sweep.job import Job
from scumble.sweep.page import spent
from scumble.sweep.record import FILE_NAME, Record, failed, read_record, write_record
from scumble.sweep.setup import Setup, refuse_another
from scumble.sweep.story import has_begun, steps_done

LOST = "ProcessLostError"


@dataclass
class Leader:
    """What is known of a sweep while it runs.

    Attributes:
        setup: the sweep.
        choice: names the cells.
        crew: does them.
        workers: cells at once.
        threads: of each.
        records: of the cells that are over, in the order in which they were chosen.
        running: the cells at work.
    """

    setup: Setup
    choice: Choice
    crew: Crew
    workers: int
    threads: int
    records: dict[str, Record] = field(default_factory=dict)
    running: dict[str, Cell] = field(default_factory=dict)
    _order: list[str] = field(default_factory=list)
    _is_ahead: bool = True
    _values: dict[str, Values] = field(default_factory=dict)

    def start_what_fits(self) -> Iterator[Noted]:
        """Start the next cells; those that are done already are taken as they are.

        The first goes ahead until it has filled the caches, so that nothing is encoded twice.
        """
        while len(self.running) < self._room():
            values = self.choice.next()
            if values is None:
                return
            cell = self.setup.cell(values)
            self._order.append(cell.name)
            self._values[cell.name] = values
            plan = self.setup.plan(cell)
            record = read_record(cell.run.path)
            if record is not None:
                refuse_another(plan, record)
            if record is not None and self._is_complete(record):
                yield Noted(f"{cell.words}: {'done' if record.is_done else 'failed'} before")
                self._keep(cell, record)
                continue
            if record is not None and not record.is_done:
                (cell.run.path / FILE_NAME).unlink()
            self.running[cell.name] = cell
            self.crew.start(Job(cell, self.setup.folder.path, self.setup.drawing, self.threads))

    def look(self) -> Iterator[Noted]:
        """Keep what the cells that ended since the last look gave."""
        for job, problem in self.crew.ended():
            cell = self.running.pop(job.cell.name)
            self._is_ahead = False
            record = read_record(cell.run.path)
            if record is None:
                record = failed(cell, LOST, problem or "its process ended without a word")
                write_record(record, cell.run.path)
            elif problem:
                yield Noted(f"{cell.words}: no pictures, {problem}", warning=True)
            self._keep(cell, record)
            yield _told(record)

    def steps_done(self) -> int:
        """Optimizer steps of all cells so far."""
        return sum(record.steps for record in self.records.values()) + sum(
            steps_done(cell.run) for cell in self.running.values()
        )

    def _room(self) -> int:
        if self._is_ahead and any(has_begun(cell.run) for cell in self.running.values()):
            self._is_ahead = False
        return 1 if self._is_ahead else self.workers

    def _is_complete(self, record: Record) -> bool:
        drawing = self.setup.drawing
        return record.is_final and (
            not record.is_done or not drawing.columns or drawing.is_drawn(self.setup.folder.path, record.name)
        )

    def _keep(self, cell: Cell, record: Record) -> None:
        self.records[cell.name] = record
        self.records = {name: self.records[name] for name in self._order if name in self.records}
        self.choice.tell(self._values[cell.name], record.best if record.is_done else None)


def _told(record: Record) -> Noted:
    if not record.is_done:
        return Noted(f"{record.words}: failed, the others go on: {record.reason}", warning=True)
    return Noted(
        f"{record.words}: validation loss {record.before:.4f} before, {record.best:.4f} at step {record.best_step}, "
        f"in {spent(record.seconds)}"
    )

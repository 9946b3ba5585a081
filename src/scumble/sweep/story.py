"""What the folder of a cell's training tells of how it went."""

import datetime
import json
import re

from scumble.train.journal import STARTED, read_journal
from scumble.train.runfolder import RunFolder

TAIL_BYTES = 8192
"""Of a journal: its last lines."""


def validations_of(run: RunFolder) -> tuple[tuple[int, float], ...]:
    """(step, loss) of each validation of a run that came to its end."""
    return tuple((int(step), float(loss)) for step, loss in json.loads(run.history.read_bytes())["validations"])


def seconds_at_work(run: RunFolder) -> float:
    """From the first event to the last, without the pauses between a stop and the next start."""
    entries, _ = read_journal(run.journal)
    seconds, before = 0.0, None
    for entry in entries:
        now = datetime.datetime.fromisoformat(entry["time"])
        if before is not None and entry["kind"] != STARTED:
            seconds += (now - before).total_seconds()
        before = now
    return seconds


def steps_done(run: RunFolder) -> int:
    """Optimizer steps that a run has done so far; 0 where it has not begun."""
    if not run.journal.exists():
        return 0
    with run.journal.open("rb") as journal:
        journal.seek(max(0, run.journal.stat().st_size - TAIL_BYTES))
        found = re.findall(rb'"kind": "stepped", "step": (\d+)', journal.read())
    return int(found[-1]) if found else 0


def has_begun(run: RunFolder) -> bool:
    """Whether a run has filled its caches and made a first validation."""
    return run.journal.exists() and any(entry["kind"] == "validated" for entry in read_journal(run.journal)[0])

"""The journal of a run: its events as JSON lines, each with its kind and the time, on the disk as soon as they happen.

It says what happened and when; nothing of it decides a number of the LoRA, so it may hold clock times.
"""

import datetime
import json
import os
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from scumble.train.events import Event, Prepared, Tabled

if TYPE_CHECKING:  # whoever only reads a journal has no use for torch
    from scumble.train.plan import Plan

FILE_NAME = "events.jsonl"
STARTED, STOPPED, FAILED = "started", "stopped", "failed"
"""What a journal says beside the events: that a process began, was asked to stop, or ended with an error."""

OVERFITTING, MEMORISED, PROOF, PROGRAMS = "overfitting", "memorised", "proof", "programs"
"""What the verdicts are about that a run notes."""

WITH_MEMORY = {"validated", "finished", STOPPED, FAILED}
"""Kinds of lines that also tell the most memory used so far."""


def journaled(
    events: Iterator[Event],
    path: Path,
    facts: Mapping[str, Any],
    goes_on: bool,
    used: Callable[[], int] | None = None,
) -> Iterator[Event]:
    """The same events, each written down before it is passed on; and how they began and ended.

    Args:
        events: a generator; closing this one closes it first, so that what is written last is how that went.
        path: the journal; its folder must exist.
        facts: of the run, written down where it starts.
        goes_on: append to what is there; otherwise it is replaced.
        used: the most memory that was in use so far, in bytes; None = not told.
    """

    def write(kind: str, values: Mapping[str, Any]) -> None:
        memory = {} if used is None or kind not in WITH_MEMORY else {"memory_bytes": used()}
        _write(journal, kind, {**values, **memory})

    assert isinstance(events, Generator)
    with _opened(path, goes_on) as journal:
        write(STARTED, facts)
        try:
            for event in events:
                if _is_kept(event):
                    write(type(event).__name__.lower(), asdict(event))
                yield event
        except GeneratorExit:
            events.close()
            write(STOPPED, {})
            raise
        except BaseException as error:
            write(FAILED, {"error": type(error).__name__, "text": str(error)})
            raise


def facts_of(plan: "Plan") -> dict[str, Any]:
    """What a journal says of a run where it starts."""
    return {
        "name": plan.name,
        "num_steps": plan.num_steps,
        "base": plan.base.name,
        "family": plan.base.family,
        "algorithm": plan.config.adapter.algorithm,
        "device": str(plan.device),
        "resume": plan.config.output.resume,
        "given": plan.given,
        "trainable": plan.trainable,
        "pid": os.getpid(),
    }


def _opened(path: Path, goes_on: bool) -> IO[bytes]:
    if goes_on and path.exists():
        _end_torn_line(path)
    return path.open("ab" if goes_on else "wb")


def _end_torn_line(path: Path) -> None:
    """A kill may have left half a line: the next one begins on a line of its own."""
    with path.open("rb+") as journal:
        if journal.seek(0, 2) > 0:
            journal.seek(-1, 2)
            if journal.read(1) != b"\n":
                journal.write(b"\n")


def _is_kept(event: Event) -> bool:
    """Of work that is counted only the end; what is shown as a table is told by other events."""
    return not isinstance(event, Tabled) and not (isinstance(event, Prepared) and event.done < event.total)


def _write(journal: IO[bytes], kind: str, values: Mapping[str, Any]) -> None:
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
    line = json.dumps({"time": now, "kind": kind, **values}, ensure_ascii=False, default=str)
    journal.write(line.encode("utf-8", "backslashreplace") + b"\n")
    journal.flush()


def read_journal(path: Path) -> tuple[list[dict[str, Any]], int]:
    """Every line that is whole, and how many are not: a kill leaves half a line.

    Raises:
        OSError: the file cannot be read.
    """
    entries, torn = [], 0
    for line in path.read_bytes().splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            torn += 1
            continue
        if isinstance(entry, dict) and isinstance(entry.get("kind"), str):
            entries.append(entry)
        else:
            torn += 1
    return entries, torn

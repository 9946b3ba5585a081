"""A run as its folder tells it: its settings, its journal, its files, and whether a process still writes there."""

import datetime
import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock, Timeout

from scumble.errors import CheckpointError
from scumble.files.places import FILE_SUFFIX, PEFT_SUFFIX
from scumble.quantities import counted
from scumble.train.journal import FAILED, STARTED, STOPPED, read_journal
from scumble.train.runfolder import RunFolder

State = Literal["running", "finished", "stopped", "killed", "diverged", "failed"]
Entry = Mapping[str, Any]


@dataclass(frozen=True)
class Run:
    """What is known of a run.

    Attributes:
        path: its folder.
        name: of the run and of its LoRA.
        state: what became of it; "failed" = an error other than diverging.
        step: optimizer steps done.
        num_steps: steps of the whole run; None = not known.
        loss: of the last step; None = there was none.
        best_loss, best_step: the lowest validation loss and when; None = there was no validation.
        base: the base model, of a folder its name.
        algorithm: of the adapter; "" = not known.
        device: where it trained; "" = not known.
        begun, seen: when the first process began, and when the last event was, in UTC; None = not known.
        processes: how often it was started.
        ended_by: the error that ended it, in its own words; "" = none.
        loras: LoRA files and PEFT folders, the last and the best first, with their bytes.
        checkpoints: how many lie there to resume from.
        problems: what of the folder could not be read.
    """

    path: Path
    name: str
    state: State
    step: int = 0
    num_steps: int | None = None
    loss: float | None = None
    best_loss: float | None = None
    best_step: int | None = None
    base: str = ""
    algorithm: str = ""
    device: str = ""
    begun: datetime.datetime | None = None
    seen: datetime.datetime | None = None
    processes: int = 0
    ended_by: str = ""
    loras: Mapping[str, int] = field(default_factory=dict)
    checkpoints: int = 0
    problems: tuple[str, ...] = ()


def is_run(folder: Path) -> bool:
    """Whether a folder is a run's: it holds the settings of one, or its journal."""
    run = RunFolder(folder, folder.name, FILE_SUFFIX)
    return run.config.is_file() or run.journal.is_file()


def read_run(folder: Path) -> Run:
    """Everything that a run's folder tells; what cannot be read is said in `problems`.

    Raises:
        CheckpointError: it is no run's folder.
    """
    run = RunFolder(folder, folder.name, FILE_SUFFIX)
    if not is_run(folder):
        raise CheckpointError(f"{folder} is no run: neither {run.config.name} nor {run.journal.name} is there")
    problems: list[str] = []
    settings = _settings(run, problems)
    entries = entries_of(run, problems)
    name = str(settings.get("output", {}).get("name") or folder.name)
    ending = PEFT_SUFFIX if settings.get("output", {}).get("format") == "peft" else FILE_SUFFIX
    run = RunFolder(folder, name, ending)
    history = {} if entries else _history(run, problems)
    state, ended_by = _state(run, entries)
    steps = [(entry["step"], entry["loss"]) for entry in _of(entries, "stepped")] or history.get("history", [])
    validations = {entry["step"]: entry["loss"] for entry in _of(entries, "validated")} or dict(
        history.get("validations", [])
    )
    best_step = min(validations, key=lambda step: (validations[step], step), default=None)
    starts = _of(entries, STARTED)
    times = [time for entry in entries if (time := _time(entry)) is not None]
    return Run(
        path=folder,
        name=name,
        state=state,
        step=steps[-1][0] if steps else 0,
        num_steps=starts[-1].get("num_steps") if starts else settings.get("training", {}).get("max_train_steps"),
        loss=steps[-1][1] if steps else None,
        best_loss=None if best_step is None else validations[best_step],
        best_step=best_step,
        base=_short(str(starts[-1].get("base", "") if starts else settings.get("model", {}).get("base", ""))),
        algorithm=str(settings.get("adapter", {}).get("algorithm", "")),
        device=str(settings.get("training", {}).get("device", "")),
        begun=times[0] if times else None,
        seen=times[-1] if times else _changed(run),
        processes=len(starts),
        ended_by=ended_by,
        loras={place.name: _size(place) for place in [*run.results(), *run.loras_of_steps()]},
        checkpoints=len(list(run.checkpoints.glob("step-*"))),
        problems=tuple(problems),
    )


def _settings(run: RunFolder, problems: list[str]) -> dict[str, Any]:
    try:
        values = tomllib.loads(run.config.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        problems.append(f"{run.config.name}: {error}")
        return {}
    return {section: value for section, value in values.items() if isinstance(value, dict)}


def entries_of(run: RunFolder, problems: list[str]) -> list[dict[str, Any]]:
    """The lines of the journal that are whole; of a run that was made before there were journals none.

    Args:
        run: the folder.
        problems: a line is added for what cannot be read.
    """
    if not run.journal.exists():
        return []
    try:
        entries, torn = read_journal(run.journal)
    except OSError as error:
        problems.append(f"{run.journal.name}: {error}")
        return []
    whole = [entry for entry in entries if entry["kind"] not in {"stepped", "validated"} or _has_loss(entry)]
    odd = torn + len(entries) - len(whole)
    if odd:
        problems.append(f"{run.journal.name}: {counted(odd, 'line is', 'lines are')} not whole")
    return whole


def _has_loss(entry: Entry) -> bool:
    return isinstance(entry.get("step"), int) and isinstance(entry.get("loss"), int | float)


def _history(run: RunFolder, problems: list[str]) -> dict[str, list[tuple[int, float]]]:
    if not run.history.exists():
        return {}
    try:
        values = json.loads(run.history.read_bytes())
        pairs = {name: [(int(step), float(loss)) for step, loss in values[name]] for name in ("history", "validations")}
    except (OSError, ValueError, KeyError, TypeError) as error:
        problems.append(f"{run.history.name}: {error}")
        return {}
    return pairs


def _of(entries: Sequence[Entry], kind: str) -> list[Entry]:
    return [entry for entry in entries if entry["kind"] == kind]


def _state(run: RunFolder, entries: Sequence[Entry]) -> tuple[State, str]:
    """What became of a run, and the error that ended it."""
    last = entries[-1] if entries else {}
    match last.get("kind"):
        case "finished":
            return "finished", ""
        case kind if kind == STOPPED:
            return "stopped", ""
        case kind if kind == FAILED:
            return ("diverged" if last.get("error") == "DivergedError" else "failed"), str(last.get("text", ""))
    if _is_locked(run.lock):
        return "running", ""
    if entries:
        return "killed", ""
    return ("finished" if run.results() else "stopped"), ""


def _is_locked(lock: Path) -> bool:
    """Whether a process holds the lock of a run; asked only where the journal has no end."""
    if not lock.exists():
        return False
    asked = FileLock(lock)
    try:
        asked.acquire(timeout=0)
    except Timeout:
        return True
    except OSError:  # a folder that can only be read: nobody here writes there
        return False
    asked.release()
    return False


def _time(entry: Entry) -> datetime.datetime | None:
    try:
        return datetime.datetime.fromisoformat(str(entry.get("time")))
    except ValueError:
        return None


def _changed(run: RunFolder) -> datetime.datetime | None:
    file = run.history if run.history.exists() else run.config
    return datetime.datetime.fromtimestamp(file.stat().st_mtime, datetime.UTC) if file.exists() else None


def _short(base: str) -> str:
    """The name of a base; of a folder or file here, the last part of its path."""
    return Path(base).name if Path(base).is_absolute() else base


def _size(place: Path) -> int:
    files = place.rglob("*") if place.is_dir() else [place]
    return sum(file.stat().st_size for file in files if file.is_file())

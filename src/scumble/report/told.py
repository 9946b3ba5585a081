"""What the folder of a run tells in all: settings, course, verdicts, what it started with and how it ended."""

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scumble.config import read_toml
from scumble.errors import ConfigError
from scumble.files.places import FILE_SUFFIX, PEFT_SUFFIX
from scumble.report.course import Course, course_of
from scumble.runs.read import Run, entries_of, read_run
from scumble.train.journal import STARTED
from scumble.train.runfolder import RunFolder

Values = Mapping[str, Mapping[str, Any]]
"""Section -> setting -> value."""


@dataclass(frozen=True)
class Said:
    """A verdict in words that a run noted, and whether it warns."""

    text: str
    is_warning: bool


@dataclass(frozen=True)
class Told:
    """What a run's folder tells.

    Attributes:
        run: what became of it.
        folder: where its parts lie.
        settings: all of them, with nothing left open; {} where they cannot be read.
        given: those that were asked for and are not the usual; None where that was not kept.
        start: what the newest process said where it began.
        course: its steps and validations.
        verdicts: what they are about -> what the run said.
        warnings: what else it warned of.
        figures: of its end.
        seconds: that its processes took, from the first line of each in the journal to its last; None = no journal.
    """

    run: Run
    folder: RunFolder
    settings: Values
    given: Values | None
    start: Mapping[str, Any]
    course: Course
    verdicts: Mapping[str, Said]
    warnings: Sequence[str]
    figures: Mapping[str, float]
    seconds: float | None

    @property
    def is_held_out(self) -> bool | None:
        """Whether the validation loss is of pictures that were not trained on; None where nobody knows."""
        known = [each.is_held_out for each in self.course.validations if each.is_held_out is not None]
        return known[-1] if known else None

    @property
    def trigger(self) -> str | None:
        """The word that calls the LoRA, if the settings name one."""
        trigger = self.setting("data", "trigger")
        return trigger if isinstance(trigger, str) else None

    def setting(self, section: str, name: str) -> Any:
        """A setting's value; None where it is not said."""
        return self.settings.get(section, {}).get(name)


def read_told(path: Path) -> Told:
    """Everything that a run's folder tells.

    Raises:
        CheckpointError: it is no run's folder.
    """
    run = read_run(path)
    settings = _settings(path / "config.toml")
    suffix = PEFT_SUFFIX if settings.get("output", {}).get("format") == "peft" else FILE_SUFFIX
    folder = RunFolder(path, run.name, suffix)
    entries = entries_of(folder, [])
    noted = [entry for entry in entries if entry["kind"] == "noted" and isinstance(entry.get("text"), str)]
    starts = [entry for entry in entries if entry["kind"] == STARTED]
    verdicts = {
        entry["about"]: Said(entry["text"], bool(entry.get("warning"))) for entry in noted if entry.get("about")
    }
    return Told(
        run=run,
        folder=folder,
        settings=settings,
        given=_sections(starts[0].get("given")) if starts and "given" in starts[0] else None,
        start=starts[-1] if starts else {},
        course=course_of(folder, entries),
        verdicts=verdicts,
        warnings=list(dict.fromkeys(each["text"] for each in noted if each.get("warning") and not each.get("about"))),
        figures=_figures(entries),
        seconds=_seconds(entries),
    )


def _settings(path: Path) -> Values:
    try:
        return _sections(read_toml(path))
    except (ConfigError, OSError):  # what is known of the run says so
        return {}


def _sections(values: Any) -> Values:
    if not isinstance(values, Mapping):
        return {}
    return {name: section for name, section in values.items() if isinstance(section, Mapping)}


def _figures(entries: Sequence[Mapping[str, Any]]) -> Mapping[str, float]:
    last = entries[-1] if entries else {}
    figures = last.get("figures", {}) if last.get("kind") == "finished" else {}
    return {name: value for name, value in figures.items() if isinstance(value, int | float)}


def _seconds(entries: Sequence[Mapping[str, Any]]) -> float | None:
    """From each start of a process to the last line before the next."""
    total, first, last = 0.0, None, None
    for entry in entries:
        try:
            time = datetime.datetime.fromisoformat(str(entry.get("time")))
        except ValueError:
            continue
        if entry["kind"] == STARTED and first is not None and last is not None:
            total += (last - first).total_seconds()
            first = None
        first, last = first or time, time
    if first is None or last is None:
        return None
    return total + (last - first).total_seconds()

"""The course of a run: its steps and validations as they count, whatever was done twice because it was stopped or went back."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from scumble.train.journal import STARTED
from scumble.train.runfolder import RunFolder


@dataclass(frozen=True)
class Step:
    """One optimizer step: its loss and its learning rate; None where that was not kept."""

    step: int
    loss: float
    learning_rate: float | None = None


@dataclass(frozen=True)
class Validation:
    """The loss at fixed noise after a step.

    Attributes:
        step: optimizer steps done.
        loss: mean over the samples.
        bands: means of equal parts of the schedule, from little noise to much; () where they were not kept.
        losses: of the single samples, the same ones each time; () where they were not kept.
        is_held_out: of pictures that are not trained on; None where that was not kept.
    """

    step: int
    loss: float
    bands: tuple[float, ...] = ()
    losses: tuple[float, ...] = ()
    is_held_out: bool | None = None


@dataclass(frozen=True)
class Course:
    """What a run did.

    Attributes:
        steps, validations: in order, each number once.
        gone_on: after which steps a process went on with the run.
        seconds: spent in the steps, those done twice included; None where that was not kept.
        memory_bytes: most that was in use; None where that was not kept.
    """

    steps: Sequence[Step] = ()
    validations: Sequence[Validation] = ()
    gone_on: Sequence[int] = ()
    seconds: float | None = None
    memory_bytes: int | None = None

    @property
    def best(self) -> Validation | None:
        """The validation of the lowest loss, the first of several."""
        return min(self.validations, key=lambda each: (each.loss, each.step), default=None)


@dataclass
class _Reader:
    """Collects what counts of a journal: a step that comes again replaces all that came after the one before it.

    A loss that is not finite has no place on a curve; how a run ended says that there was one.
    """

    steps: list[Step] = field(default_factory=list)
    validations: list[Validation] = field(default_factory=list)
    gone_on: list[int] = field(default_factory=list)
    seconds: float = 0.0
    memory_bytes: int | None = None

    def take(self, entry: Mapping[str, Any]) -> None:
        """One line."""
        if isinstance(entry.get("memory_bytes"), int):
            self.memory_bytes = max(self.memory_bytes or 0, entry["memory_bytes"])
        match entry["kind"]:
            case "stepped" if math.isfinite(entry["loss"]):
                at = entry["step"]
                self.steps = _before(self.steps, at)
                self.validations = [each for each in self.validations if each.step < at]
                self.steps.append(Step(at, entry["loss"], _number(entry.get("learning_rate"))))
                self.seconds += _number(entry.get("seconds")) or 0.0
            case "validated" if math.isfinite(entry["loss"]):
                self.validations = [each for each in self.validations if each.step < entry["step"]]
                self.validations.append(_validation(entry))
            case kind if kind == STARTED and self.steps:
                self.gone_on.append(self.steps[-1].step)


def course_of(run: RunFolder, entries: Sequence[Mapping[str, Any]]) -> Course:
    """The course of a run: by its journal, else by its history; empty where neither is there.

    Args:
        run: the folder.
        entries: whole lines of its journal.
    """
    if not entries:
        return _from_history(run)
    reader = _Reader()
    for entry in entries:
        reader.take(entry)
    seconds = reader.seconds if reader.steps else None
    return Course(reader.steps, reader.validations, reader.gone_on, seconds, reader.memory_bytes)


def _before(steps: list[Step], at: int) -> list[Step]:
    """Those of smaller number; nearly always that is all of them."""
    return steps if not steps or steps[-1].step < at else [each for each in steps if each.step < at]


def _validation(entry: Mapping[str, Any]) -> Validation:
    held_out = entry.get("held_out")
    return Validation(
        entry["step"],
        entry["loss"],
        _numbers(entry.get("bands")),
        _numbers(entry.get("losses")),
        held_out if isinstance(held_out, bool) else None,
    )


def _from_history(run: RunFolder) -> Course:
    """A file that cannot be read is no news here: what is known of the run says so."""
    try:
        values = json.loads(run.history.read_bytes())
        bands = {int(step): _numbers(losses) for step, losses in values.get("bands", {}).get("losses", [])}
        return Course(
            [Step(int(step), float(loss)) for step, loss in values["history"]],
            [
                Validation(int(step), float(loss), bands.get(int(step), ()))
                for step, loss in values.get("validations", [])
            ],
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return Course()


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def _numbers(values: Any) -> tuple[float, ...]:
    if not isinstance(values, Iterable):
        return ()
    found = tuple(_number(value) for value in values)
    return tuple(each for each in found if each is not None) if None not in found else ()

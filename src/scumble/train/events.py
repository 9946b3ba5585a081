"""What training says while it runs. The command line prints these, the run folder stores them, a page streams them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from scumble.generate.events import Noted


@dataclass(frozen=True)
class Planned:
    """The start-up card: what was understood and chosen, as label -> text, before anything starts.

    `folder` is where the run writes; None where there is no run.
    """

    title: str
    card: Mapping[str, str]
    folder: Path | None = None


@dataclass(frozen=True)
class Prepared:
    """Progress of work before the first step, such as filling the caches."""

    what: str
    done: int
    total: int


@dataclass(frozen=True)
class Stepped:
    """One optimizer step. `step` counts finished steps from 1; `loss` is the mean over the step's samples."""

    step: int
    num_steps: int
    loss: float
    learning_rate: float
    seconds: float


@dataclass(frozen=True)
class Validated:
    """The validation loss after a step; `best` if it is the lowest so far.

    `held_out` is false where too few pictures are there to hold some out: the loss is that of the training pictures.
    `bands` are the means of equal parts of the schedule, from little noise to much. `losses` are those of the single samples,
    which are the same each time: two validations are compared sample by sample.
    """

    step: int
    loss: float
    best: bool
    held_out: bool
    bands: tuple[float, ...] = ()
    losses: tuple[float, ...] = ()


@dataclass(frozen=True)
class Sampled:
    """Sample pictures drawn from the file just saved."""

    step: int
    path: Path


@dataclass(frozen=True)
class Saved:
    """A file or checkpoint that now lies on the disk, complete."""

    step: int
    path: Path
    what: str


@dataclass(frozen=True)
class Finished:
    """The end of a run: its files by what they are, its figures by name."""

    step: int
    files: Mapping[str, Path]
    figures: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Tabled:
    """Figures as a table: one row a thing, one column a figure."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


Event = Noted | Planned | Prepared | Stepped | Validated | Sampled | Saved | Finished | Tabled

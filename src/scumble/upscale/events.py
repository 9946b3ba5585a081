"""What enlarging says while it runs, and what became of each picture."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from scumble.upscale.size import Size
from scumble.upscale.tiles import Retiled


@dataclass(frozen=True)
class Planned:
    """What is going to happen: a title, and facts by their labels."""

    title: str
    card: Mapping[str, str]


@dataclass(frozen=True)
class Enlarging:
    """A picture in work; `index` counts from 1 to `total`, `share` is what is done of this one, 0..1."""

    path: Path
    index: int
    total: int
    share: float
    seconds_left: float


@dataclass(frozen=True)
class Enlarged:
    """A result that now lies on the disk.

    Attributes:
        path: the picture that it was made from.
        out: the result.
        before: size of the picture.
        after: size of the result.
        lost: what the result has not, of the picture.
        index: from 1 to `total`.
    """

    path: Path
    out: Path
    before: Size
    after: Size
    lost: Sequence[str]
    index: int
    total: int


@dataclass(frozen=True)
class Unread:
    """A picture of which nothing was made, and why."""

    path: Path
    reason: str


@dataclass(frozen=True)
class Tallied:
    """The end: how many results there are, how many pictures of which nothing was made, and where the results lie."""

    done: int
    unread: int
    out: Path


Event = Planned | Enlarging | Retiled | Enlarged | Unread | Tallied

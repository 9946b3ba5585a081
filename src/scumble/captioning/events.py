"""What captioning says while it runs, and what became of each picture."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from scumble.generate.events import Noted


@dataclass(frozen=True)
class Outcome:
    """What became of one picture.

    Attributes:
        path: the picture.
        kind: its caption was written now, was there before and stayed, or there is none.
        text: the caption; without one, the reason.
    """

    path: Path
    kind: Literal["written", "kept", "failed"]
    text: str


@dataclass(frozen=True)
class Captioned:
    """A caption that now lies beside its picture. `done` counts from 1 to `total`, failures included."""

    path: Path
    text: str
    done: int
    total: int
    seconds_left: float


@dataclass(frozen=True)
class Reviewed:
    """The end: what became of every picture of every process, and the page that shows it."""

    outcomes: Sequence[Outcome]
    page: Path

    def number(self, kind: str) -> int:
        """How many pictures ended that way."""
        return sum(outcome.kind == kind for outcome in self.outcomes)


Event = Noted | Captioned | Reviewed

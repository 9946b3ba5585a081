"""The journal of what was put in order: a line of JSON an act, on the disk before the act begins, read back to undo it.

A path in it is relative to the folder of pictures where it lies in that, else to the folder aside.
"""

import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from scumble.data.names import relative_to
from scumble.data.text_files import decoded
from scumble.errors import DataError
from scumble.files.atomic import sync_folder, write_atomically

JOURNAL = "journal.jsonl"
KINDS = ("moved", "rewritten")


@dataclass(frozen=True)
class Act:
    """One thing that was done, or, by undoing, taken back.

    Attributes:
        kind: "moved", a file moved aside; or "rewritten", a caption written anew whose old text was copied aside.
        path: where it lies, or lay, in the folder of pictures.
        aside: where it, or its old text, lies aside.
        reason: why.
    """

    kind: str
    path: Path
    aside: Path
    reason: str


class Journal:
    """The journal in a folder aside.

    A line that was cut short by the end of its process stands for an act that was never begun: it is dropped.

    Args:
        root: what the paths of pictures are relative to.
        aside: folder that things are moved to.
    """

    def __init__(self, root: Path, aside: Path) -> None:
        self.root, self.aside = root, aside
        self.path = aside / JOURNAL

    def begin(self) -> None:
        """Make ready for more acts: what the last process left unfinished goes, so that nothing is written behind it."""
        if self.path.is_file() and not self.path.read_bytes().endswith(b"\n"):
            self._keep(self._lines())

    def note(self, act: Act) -> None:
        """Write down an act that is about to begin; it is on the disk afterwards.

        Raises:
            OSError: the folder aside cannot be written to; the act must not begin.
        """
        act.aside.parent.mkdir(parents=True, exist_ok=True)
        places = {
            "path": relative_to(act.path, self.root).as_posix(),
            "aside": act.aside.relative_to(self.aside).as_posix(),
        }
        is_new = not self.path.exists()
        with self.path.open("a", encoding="utf-8", newline="\n") as journal:
            journal.write(json.dumps({**asdict(act), **places}) + "\n")
            journal.flush()
            os.fsync(journal.fileno())
        if is_new:
            sync_folder(self.aside)

    def acts(self) -> list[Act]:
        """All acts, in the order in which they began.

        Raises:
            DataError: there is no journal, or a line of it is none of its own.
        """
        if not self.path.is_file():
            raise DataError(f"{self.aside}: no {JOURNAL} in it, so nothing is known that could be taken back")
        return [self._act(number, line) for number, line in enumerate(self._lines(), 1)]

    def forget(self, left: int) -> None:
        """Keep the first acts only; with the last one the journal goes, and the folders aside that are empty then.

        Args:
            left: how many are kept.
        """
        if left:
            self._keep(self._lines()[:left])
            return
        self.path.unlink()
        for folder, _, _ in os.walk(self.aside, topdown=False):
            with suppress(OSError):  # not empty: what the person put there stays
                Path(folder).rmdir()

    def _keep(self, lines: Sequence[str]) -> None:
        write_atomically(self.path, "".join(f"{line}\n" for line in lines).encode())

    def _lines(self) -> list[str]:
        """The whole lines; a name may hold other signs at which `splitlines` would part it."""
        content = self.path.read_bytes()
        return decoded(content[: content.rfind(b"\n") + 1], self.path).split("\n")[:-1]

    def _act(self, number: int, line: str) -> Act:
        try:
            entry: Mapping[str, str] = json.loads(line)
            act = Act(entry["kind"], self.root / entry["path"], self.aside / entry["aside"], entry["reason"])
            if act.kind not in KINDS:
                raise ValueError(act.kind)
            return act
        except (ValueError, KeyError, TypeError):
            raise DataError(
                f"{self.path}: line {number} is none that check wrote: {line:.80}; mend the line or take it out, and undo again"
            ) from None

"""Short lines by name in one file of a cache, found whole or not at all."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from scumble.files.atomic import write_atomically

SUFFIX = ".jsonl"
Line = Sequence[str | int | float]


class Ledger:
    """Lines that are read together and written together; a file that is damaged, or of another key, counts as empty.

    Args:
        folder: of the cache's files of this kind; made when something is written.
        key: what all lines hold for; another key is another file.

    Attributes:
        path: of the file.
    """

    def __init__(self, folder: Path, key: Line) -> None:
        self._digest = hashlib.sha256(json.dumps(key).encode()).hexdigest()
        self.path = folder / self._digest[:2] / f"{self._digest}{SUFFIX}"
        self._lines = _read(self.path, self._digest)
        self._asked: set[str] = set()
        self._is_new = False

    def get(self, name: str) -> Line | None:
        """The line of this name; any thread may ask."""
        line = self._lines.get(name)
        if line is None:
            return None
        self._asked.add(name)
        found: Line = json.loads(line)[1:]
        return found

    def put(self, name: str, line: Line) -> None:
        """Keep a line in place of what was there; any thread may."""
        self._lines[name] = json.dumps([name, *line]).encode()
        self._asked.add(name)
        self._is_new = True

    def write(self) -> None:
        """Write the file where a line is new, without the lines that nobody asked for.

        Raises:
            OSError: the cache cannot be written to.
        """
        if not self._is_new:
            return
        body = b"".join(self._lines[name] + b"\n" for name in sorted(self._asked))
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(self.path, _head(self._digest, body) + body)
        self._is_new = False


def _head(digest: str, body: bytes) -> bytes:
    """The first line: what the others hold for, and their hash."""
    return f"{digest} {hashlib.sha256(body).hexdigest()}\n".encode()


def _read(path: Path, digest: str) -> dict[str, bytes]:
    try:
        head, _, body = path.read_bytes().partition(b"\n")
    except OSError:
        return {}  # what cannot be read is made anew
    if head + b"\n" != _head(digest, body):
        return {}
    return {json.loads(line)[0]: line for line in body.splitlines()}

"""What a bench has done so far, a line of JSON each, so that the same command goes on where it was stopped."""

import json
from pathlib import Path
from typing import Any


class Kept:
    """Rows in a file.

    Args:
        path: of the file, made with the first row; None = nothing is kept.

    Attributes:
        rows: those of earlier calls and of this one; a last line that was cut off does not count.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        lines = path.read_text(encoding="utf-8").split("\n")[:-1] if path is not None and path.exists() else []
        self.rows: list[dict[str, Any]] = [json.loads(line) for line in lines]

    def add(self, row: dict[str, Any]) -> None:
        """Keep a row."""
        self.rows.append(row)
        if self._path is not None:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")

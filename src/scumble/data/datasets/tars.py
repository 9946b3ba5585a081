"""WebDataset's archives: files of one name before the first dot are one row, and what comes after it names the column."""

import json
import tarfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from scumble.data.datasets.columns import Column
from scumble.data.datasets.rows import Row, row_of
from scumble.data.layouts.found import CAPTION_SUFFIXES
from scumble.data.pictures import SUFFIXES
from scumble.errors import DataError

TEXTS = {suffix.removeprefix(".") for suffix in CAPTION_SUFFIXES} | {"text"}
PICTURES = {suffix.removeprefix(".") for suffix in SUFFIXES}
ANY_PICTURE = "image"
"""The column of a row's picture, whatever its suffix is; another row of the archive may have another."""

MAX_BYTES = 200_000_000
"""A larger member is no picture."""

FIRST_ROWS = 16
"""An archive has no schema: these many rows say what its columns are."""

Member = tuple[str, str, bytes]
"""Name of the row, column, content."""


class TarTable:
    """A .tar file."""

    has_schema = False

    def columns(self, path: Path) -> list[Column]:
        """What columns its first rows have; the keys of a JSON member are columns too."""
        first = dict[str, Column]()
        for cells in islice(_rows_of(path), FIRST_ROWS):
            first.update({name: _column(name, cell) for name, cell in cells.items()})
        return list(first.values())

    def rows(self, path: Path, picture: str, caption: str | None, beside: Path) -> Iterator[Row]:
        """The rows of a file, one in memory at a time."""
        for cells in _rows_of(path):
            yield row_of(cells.get(picture), cells.get(caption) if caption is not None else None, lambda _: None)


def _column(name: str, cell: Any) -> Column:
    if name == ANY_PICTURE:
        return Column(name, "picture", "a file")
    if isinstance(cell, str):
        return Column(name, "text", "text")
    is_texts = isinstance(cell, list) and all(isinstance(each, str) for each in cell)
    return Column(name, "texts" if is_texts else "else", "a file" if isinstance(cell, bytes) else type(cell).__name__)


def _rows_of(path: Path) -> Iterator[dict[str, Any]]:
    """Column -> cell, of each row."""
    name, cells = None, dict[str, Any]()
    for row, column, content in _members(path):
        if row != name and cells:
            yield cells
            cells = {}
        name = row
        cells.update(_cells(column, content, f"{path}: {row}.{column}"))
    if cells:
        yield cells


def _members(path: Path) -> Iterator[Member]:
    try:
        with tarfile.open(path, "r|*") as archive:
            for member in archive:
                folder, _, file = member.name.rpartition("/")
                stem, dot, column = file.partition(".")
                if not member.isfile() or not dot or not stem:
                    continue
                if member.size > MAX_BYTES:
                    raise DataError(f"{path}: {member.name} has {member.size} bytes, more than {MAX_BYTES}")
                stream = archive.extractfile(member)
                assert stream is not None
                yield f"{folder}/{stem}", column.lower(), stream.read()
    except (tarfile.TarError, OSError, EOFError) as error:
        raise DataError(f"{path}: cannot be read as a .tar file: {error}") from None


def _cells(column: str, content: bytes, where: str) -> dict[str, Any]:
    if column in PICTURES:
        return {ANY_PICTURE: content}
    try:
        if column in TEXTS:
            return {column: content.decode()}
        if column == "json":
            value = json.loads(content)
            return dict(value) if isinstance(value, dict) else {}
    except ValueError as error:
        raise DataError(f"{where}: {error}; expected UTF-8") from None
    return {column: content}

"""Hugging Face's imagefolder: a table, metadata.jsonl or metadata.csv, names the pictures and says their captions."""

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scumble.data.layouts.found import FoundPicture, Layout, Rejected, pictures_in, walk
from scumble.data.text_files import read_text
from scumble.errors import DataError
from scumble.quantities import counted

TABLES = ("metadata.jsonl", "metadata.csv")
FILE_COLUMN = "file_name"
USUAL_COLUMNS = ("text", "caption", "prompt")
"""Columns that are taken for the caption without being asked for, the likeliest first."""

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Line:
    """A row of a table, and where it stands.

    Attributes:
        table: the file.
        number: of its line, from 1; of a row of several lines the last.
        row: column -> cell.
    """

    table: Path
    number: int
    row: Row

    @property
    def where(self) -> str:
        """For the beginning of a message."""
        return f"{self.table}, line {self.number}"


def find(folder: Path, caption_column: str | None = None) -> Layout | None:
    """Pictures in the folder and those within, with the captions of the tables that lie beside them.

    Args:
        folder: one with a table in it, or in a folder within.
        caption_column: the column with the captions; None = a usual one, or the only other one.
    Raises:
        DataError: a table cannot be read, has no such column, or does not say which column holds the captions.
    """
    tables = [each / name for each in walk(folder) for name in TABLES if (each / name).is_file()]
    if not tables:
        return None
    captions: dict[Path, tuple[str, ...]] = {}
    named: dict[Path, Line] = {}
    missing: list[Rejected] = []
    columns: dict[str, None] = {}
    for table in tables:
        lines = list(_lines(table))
        column = _column(lines, caption_column, table)
        columns[column] = None
        for line in lines:
            path = table.parent / _name(line)
            if path in named:
                raise DataError(_named_twice(line, named[path]))
            named[path] = line
            if path.is_file():
                captions[path] = _captions(line, column)
            elif not path.is_symlink():  # which is listed with the files
                missing.append(Rejected(path, f"named in {table.name}, and not there"))
    pictures, rejected, used = _pictures(folder, captions)
    said = f'imagefolder: {counted(len(tables), "table")}, captions in column "{", ".join(columns)}"'
    unnamed = sum(not picture.captions for picture in pictures)
    where = "the table" if len(tables) == 1 else "the tables"
    notes = (f"{counted(unnamed, 'picture has', 'pictures have')} no caption in {where}",) if unnamed else ()
    rejected = [item for item in rejected if item.path not in tables]
    return Layout("imagefolder", said, tuple(pictures), (*rejected, *missing), frozenset({*used, *tables}), notes)


def _pictures(
    folder: Path, captions: Mapping[Path, tuple[str, ...]]
) -> tuple[list[FoundPicture], list[Rejected], set[Path]]:
    pictures: list[FoundPicture] = []
    rejected: list[Rejected] = []
    used: set[Path] = set()
    for each in walk(folder):
        found, others, beside = pictures_in(each)
        pictures += [FoundPicture(picture.path, captions.get(picture.path, ())) for picture in found]
        rejected += others
        used |= beside
    return pictures, rejected, used


def _lines(table: Path) -> Iterator[Line]:
    return _csv_lines(table) if table.suffix == ".csv" else _json_lines(table)


def _csv_lines(table: Path) -> Iterator[Line]:
    rows = csv.DictReader(io.StringIO(read_text(table), newline=""), strict=True)
    try:
        if FILE_COLUMN not in (header := rows.fieldnames or ()):
            raise DataError(
                f"{table}, line 1: found the columns {', '.join(header) or '(none)'}; expected {FILE_COLUMN} among them, "
                "and commas between them"
            )
        for row in rows:
            if None in row or None in row.values():
                raise DataError(
                    f"{table}, line {rows.line_num}: expected {len(header)} cells as in the first line: a caption with "
                    'commas stands in quotes, as in a.png,"a red, fast car"'
                )
            yield Line(table, rows.line_num, row)
    except csv.Error as error:
        raise DataError(f"{table}, after line {rows.line_num}: no CSV ({error})") from None


def _json_lines(table: Path) -> Iterator[Line]:
    for number, line in enumerate(read_text(table).split("\n"), 1):  # a caption may hold other separators of lines
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise DataError(f"{table}, line {number}: no JSON ({error}): expected one object a line") from None
        if not isinstance(row, dict):
            raise DataError(f"{table}, line {number}: found {line.strip()[:40]}, expected an object")
        yield Line(table, number, row)


def _column(lines: Sequence[Line], asked: str | None, table: Path) -> str:
    columns = dict.fromkeys(name for line in lines for name in line.row if name != FILE_COLUMN)
    listed = f"the columns {', '.join(columns)}" if columns else f"no column other than {FILE_COLUMN}"
    if asked is not None:
        if lines and asked not in columns:
            raise DataError(f"{table}: no column {asked}: found {listed}")
        return asked
    usual = [name for name in USUAL_COLUMNS if name in columns]
    if usual or len(columns) == 1:
        return (usual or list(columns))[0]
    raise DataError(f"{table}: found {listed}: say with --caption-column which holds the captions")


def _name(line: Line) -> str:
    name = line.row.get(FILE_COLUMN)
    if not isinstance(name, str) or not name:
        found = f"{FILE_COLUMN} is {name!r}" if FILE_COLUMN in line.row else f"a line without {FILE_COLUMN}"
        raise DataError(f"{line.where}: {found}; it has {', '.join(line.row)}: expected it to name the picture")
    place = Path(name)
    if place.is_absolute() or ".." in place.parts:
        raise DataError(f"{line.where}: {FILE_COLUMN} {name} leads out of the folder; expected a path inside it")
    return name


def _named_twice(line: Line, first: Line) -> str:
    name = line.row[FILE_COLUMN]
    if line.table == first.table:
        return f"{line.where}: {name} is named twice, first in line {first.number}: leave one line"
    return f"{line.where}: {name} is named in {first.table} too: leave one of the tables, or one of the lines"


def _captions(line: Line, column: str) -> tuple[str, ...]:
    value = line.row.get(column)
    if value is None or value == "":
        return ()
    values = value if isinstance(value, list) else [value]
    if not values or not all(isinstance(each, str) for each in values):
        raise DataError(
            f"{line.where}: {line.row[FILE_COLUMN]}: found {value!r:.60} in {column}, expected text or a list of texts"
        )
    return tuple(values)

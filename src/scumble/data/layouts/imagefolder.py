"""Hugging Face's imagefolder: a table, metadata.jsonl or metadata.csv, names the pictures and says their captions."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from scumble.data.layouts.found import FoundPicture, Layout, Rejected, pictures_in, walk
from scumble.data.text_files import read_text
from scumble.errors import DataError

TABLES = ("metadata.jsonl", "metadata.csv")
FILE_COLUMN = "file_name"
USUAL_COLUMNS = ("text", "caption", "prompt")
"""Columns that are taken for the caption without being asked for, the likeliest first."""

Row = Mapping[str, Any]


def find(folder: Path, caption_column: str | None = None) -> Layout | None:
    """Pictures in the folder and those within, with the captions of the tables that lie beside them.

    Args:
        folder: one with a table in it, or in a folder within.
        caption_column: the column with the captions; None = a usual one, or the only other one.
    Raises:
        DataError: a table cannot be read, or does not say which column holds the captions.
    """
    tables = [each / name for each in walk(folder) for name in TABLES if (each / name).is_file()]
    if not tables:
        return None
    captions: dict[Path, tuple[str, ...]] = {}
    missing: list[Rejected] = []
    columns: dict[str, None] = {}
    for table in tables:
        rows = _rows(table)
        column = caption_column or _column(rows, table)
        columns[column] = None
        for row in rows:
            path = table.parent / _name(row, table)
            if not path.is_file():
                missing.append(Rejected(path, f"named in {table.name}, and not there"))
            elif path in captions:
                raise DataError(f"{table}: {row[FILE_COLUMN]} is named twice: leave one line")
            else:
                captions[path] = _captions(row, column, table)
    pictures, rejected, used = _pictures(folder, captions)
    said = (
        f'imagefolder: {len(tables)} table{"s" if len(tables) > 1 else ""}, captions in column "{", ".join(columns)}"'
    )
    unnamed = sum(not picture.captions for picture in pictures)
    notes = (f"{unnamed} pictures have no caption in {tables[0].name}",) if unnamed else ()
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


def _rows(table: Path) -> Sequence[Row]:
    text = read_text(table)
    if table.suffix == ".csv":
        return list(csv.DictReader(io.StringIO(text)))
    rows: list[Row] = []
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            try:
                row = json.loads(line)
            except json.JSONDecodeError as error:
                raise DataError(f"{table}, line {number}: no JSON ({error}): expected one object a line") from None
            if not isinstance(row, dict):
                raise DataError(f"{table}, line {number}: found {line.strip()[:40]}, expected an object")
            rows.append(row)
    return rows


def _column(rows: Sequence[Row], table: Path) -> str:
    columns = dict.fromkeys(name for row in rows for name in row if name != FILE_COLUMN)
    usual = [name for name in USUAL_COLUMNS if name in columns]
    if usual or len(columns) == 1:
        return (usual or list(columns))[0]
    raise DataError(
        f"{table}: found the columns {', '.join(map(str, columns)) or 'no other than ' + FILE_COLUMN}: "
        "say with --caption-column which holds the captions"
    )


def _name(row: Row, table: Path) -> str:
    name = row.get(FILE_COLUMN)
    if not isinstance(name, str) or not name:
        raise DataError(f"{table}: a line without {FILE_COLUMN}: expected it to name the picture")
    place = Path(name)
    if place.is_absolute() or ".." in place.parts:
        raise DataError(f"{table}: {FILE_COLUMN} {name} leads out of the folder; expected a path inside it")
    return name


def _captions(row: Row, column: str, table: Path) -> tuple[str, ...]:
    value = row.get(column)
    if value is None or value == "":
        return ()
    values = value if isinstance(value, list) else [value]
    if not values or not all(isinstance(each, str) for each in values):
        raise DataError(
            f"{table}: {row[FILE_COLUMN]}: found {value!r:.60} in {column}, expected text or a list of texts"
        )
    return tuple(values)

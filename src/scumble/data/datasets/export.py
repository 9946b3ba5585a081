"""Rows become a folder of pictures with a metadata.jsonl, once: the folder is named by what it is made from."""

import json
import os
import secrets
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from scumble.data.beginnings import suffix_of
from scumble.data.datasets.rows import Row
from scumble.data.layouts.imagefolder import FILE_COLUMN
from scumble.errors import DataError
from scumble.files.atomic import sync_folder
from scumble.quantities import counted

FOLDER = "datasets"
"""Of a cache: where exported datasets lie."""

RECORD = ".scumble-dataset.json"
TABLE = "metadata.jsonl"


@dataclass(frozen=True)
class Record:
    """What an exported folder holds.

    Attributes:
        rows: of the dataset.
        pictures: files written.
        captions: pictures that have one.
        size: bytes of the pictures.
        notes: what of the rows is not there, for the person.
    """

    rows: int
    pictures: int
    captions: int
    size: int
    notes: tuple[str, ...]


def exported(cache: Path, key: str, rows: Iterator[Row], caption_column: str | None) -> tuple[Path, Record]:
    """The folder with a dataset's pictures and captions: made now, or found as it was made.

    Args:
        cache: the folder of all caches.
        key: hash of all that the export is made from.
        rows: of the dataset; asked for only where the folder must be made.
        caption_column: what the table calls the captions; None = there are none, and no table.
    Raises:
        DataError: there is no picture in any row.
        OSError: the disk is full or the cache cannot be written.
    """
    folder = cache / FOLDER / key
    record = _record_of(folder)
    if record is not None:
        os.utime(folder / RECORD)  # "last used", which pruning goes by
        return folder, record
    building = folder.with_name(f".scumble-{secrets.token_hex(8)}.tmp")
    building.mkdir(parents=True)
    try:
        record = _write(building, rows, caption_column)
        _put(building, folder)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return folder, record


def _put(building: Path, folder: Path) -> None:
    """Give a finished folder its name; what another process finished meanwhile is as good."""
    if folder.exists() and _record_of(folder) is None:
        shutil.rmtree(folder)  # somebody took pictures out of it
    try:
        building.rename(folder)
    except OSError:
        if _record_of(folder) is None:
            raise
    sync_folder(folder.parent)


def _record_of(folder: Path) -> Record | None:
    """What a folder holds, if it is all there."""
    try:
        values = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    record = Record(**{**values, "notes": tuple(values["notes"])})
    pictures = [entry for entry in os.scandir(folder) if entry.name not in {RECORD, TABLE}]
    found = (len(pictures), sum(entry.stat().st_size for entry in pictures))
    has_table = (folder / TABLE).exists() or record.captions == 0
    return record if found == (record.pictures, record.size) and has_table else None


def _write(folder: Path, rows: Iterator[Row], caption_column: str | None) -> Record:
    problems: Counter[str] = Counter()
    number = pictures = captions = size = 0
    first_without: dict[str, int] = {}
    with (folder / TABLE).open("w", encoding="utf-8", newline="\n") as table:
        for number, row in enumerate(rows, 1):
            suffix = suffix_of(row.picture) if row.picture is not None else None
            if row.picture is None or suffix is None:
                reason = row.problem or "what it holds is no picture that is read here"
                problems[reason] += 1
                first_without.setdefault(reason, number - 1)
                continue
            name = f"{number - 1:08d}{suffix}"
            (folder / name).write_bytes(row.picture)
            pictures, size, captions = pictures + 1, size + len(row.picture), captions + bool(row.captions)
            said = {caption_column: list(row.captions)} if caption_column is not None and row.captions else {}
            table.write(json.dumps({FILE_COLUMN: name, **said}, ensure_ascii=False) + "\n")
    notes = [_note(problems, reason, first_without[reason], number) for reason in problems]
    if pictures == 0:
        raise DataError("; ".join(notes) or "it has no rows")
    if captions == 0:
        (folder / TABLE).unlink()
    record = Record(number, pictures, captions, size, tuple(notes))
    (folder / RECORD).write_text(json.dumps(asdict(record), ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    return record


def _note(problems: Counter[str], reason: str, first: int, rows: int) -> str:
    count = problems[reason]
    return (
        f"{count} of {counted(rows, 'row')} {'has' if count == 1 else 'have'} no picture, first row {first}: {reason}"
    )

"""From the name of a dataset to a folder of pictures that every later stage reads like any other."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from scumble.data.content import hash_file
from scumble.data.datasets.arrow import ArrowTable, ParquetTable
from scumble.data.datasets.columns import caption_column, picture_column
from scumble.data.datasets.export import exported
from scumble.data.datasets.find import FoundDataset, find_dataset
from scumble.data.datasets.rows import Row, Table
from scumble.data.datasets.shards import TRAIN
from scumble.data.datasets.tars import TarTable
from scumble.data.layouts.found import files_in, is_picture, walk
from scumble.data.names import name_in
from scumble.errors import ConfigError, DataError
from scumble.quantities import counted

VERSION = 1
"""Part of every export's name: raise it when what is written changes."""

TABLES: dict[str, Table] = {".parquet": ParquetTable(), ".arrow": ArrowTable(), ".tar": TarTable()}
"""Suffix -> how such a file is read."""


@dataclass(frozen=True)
class Request:
    """Which pictures and captions of which dataset.

    Attributes:
        name: hub id, or a folder or file here.
        config: one of its configurations; None = the usual one.
        split: which of its splits.
        revision: on the hub; None = the newest.
        image_column: with the pictures; None = found out.
        caption_column: with the captions; None = found out.
    """

    name: str
    config: str | None = None
    split: str = TRAIN
    revision: str | None = None
    image_column: str | None = None
    caption_column: str | None = None


@dataclass(frozen=True)
class OpenedDataset:
    """A dataset as a folder of pictures.

    Attributes:
        folder: of the pictures.
        said: how the dataset was understood.
        caption_column: of the folder's table; None = to be found out, or there is none.
        revision: commit on the hub; None = it is not from there.
        notes: rows that are not there, and why.
        is_of_rows: its pictures are called by the numbers of their rows, from 0.
    """

    folder: Path
    said: str
    caption_column: str | None
    revision: str | None
    notes: tuple[str, ...] = ()
    is_of_rows: bool = False


def open_dataset(request: Request, cache: Path) -> OpenedDataset:
    """Find a dataset, fetch it where needed, and write its pictures out, unless that was done before.

    Args:
        request: what is asked for.
        cache: the folder of all caches.
    Raises:
        ConfigError: a setting that would have no effect.
        DataError: not found, not readable, no such split or column, or no picture in it.
    """
    found = find_dataset(request.name, request.config, request.split, request.revision)
    begin = f"{'hub' if found.revision else 'local'} dataset {request.name}"
    if found.revision:
        begin += f" at {found.revision[:7]}"
    begin += f", configuration {request.config}" if request.config else ""
    kind = PurePosixPath(found.names[0]).suffix.lower()
    if kind not in TABLES:
        return _as_it_is(request, found, begin)
    picture, caption = _columns(request, found, TABLES[kind])
    try:
        folder, record = exported(
            cache, _key(found, picture, caption), _rows(found, TABLES[kind], picture, caption), caption
        )
    except DataError as error:
        raise DataError(f"dataset {request.name}: {error}") from None
    without = record.pictures - record.captions
    texts = f"captions in column {caption}" if caption else "no column with captions"
    said = (
        f"{begin}, split {request.split}, pictures in column {picture}, {texts}: {counted(record.rows, 'row')}, "
        f"{counted(record.pictures, 'picture')}" + (f", {without} without a caption" if caption and without else "")
    )
    return OpenedDataset(
        folder, said, caption if record.captions else None, found.revision, record.notes, is_of_rows=True
    )


def _as_it_is(request: Request, found: FoundDataset, begin: str) -> OpenedDataset:
    """A dataset that is a folder of pictures already."""
    if request.image_column is not None:
        raise ConfigError(
            f"image_column would have no effect: dataset {request.name} is a folder of picture files; leave it out"
        )
    tops = {PurePosixPath(name).parts[:-1] for name in found.names}
    shared: tuple[str, ...] = ()
    for level in zip(*tops, strict=False):
        if len(set(level)) > 1:
            break
        shared = (*shared, level[0])
    folder = found.folder.joinpath(*shared)
    others = {path for each in walk(folder) for path in files_in(each) if is_picture(path)} - {
        found.folder / name for name in found.names
    }
    if others:
        raise DataError(
            f"dataset {request.name}: {folder} holds {counted(len(others), 'picture that is', 'pictures that are')} not of "
            f"the split {request.split}, first {name_in(min(others), folder)}: give --train_data_dir the folder of those "
            "that are"
        )
    said = f"{begin}, split {request.split}, a folder of picture files"
    return OpenedDataset(folder, said, request.caption_column, found.revision)


def _columns(request: Request, found: FoundDataset, table: Table) -> tuple[str, str | None]:
    where = f"dataset {request.name}"
    columns = table.columns(found.folder / found.names[0])
    picture = picture_column(columns, request.image_column, where)
    caption = caption_column(columns, request.caption_column, where)
    for name in found.names[1:] if table.has_schema else ():
        others = {column.name for column in table.columns(found.folder / name)}
        missing = {picture, *([caption] if caption else [])} - others
        if missing:
            raise DataError(
                f"{where}: {name} has no column {', '.join(sorted(missing))}, and {found.names[0]} has: are these "
                "several configurations? Say with --dataset_config_name which"
            )
    return picture, caption


def _rows(found: FoundDataset, table: Table, picture: str, caption: str | None) -> Iterator[Row]:
    for name in found.names:
        yield from table.rows(found.folder / name, picture, caption, found.folder)


def _key(found: FoundDataset, picture: str, caption: str | None) -> str:
    """SHA-256 of what the export is made from: a commit says what all its files are, other files are hashed."""
    files = [(name, found.revision or hash_file(found.folder / name)) for name in found.names]
    text = json.dumps({"version": VERSION, "files": files, "picture": picture, "caption": caption})
    return hashlib.sha256(text.encode()).hexdigest()

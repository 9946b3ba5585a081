"""Which column of a table holds the pictures, and which the captions."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from scumble.data.layouts.imagefolder import USUAL_COLUMNS
from scumble.errors import DataError, nearest

USUAL_PICTURES = ("image", "img", "picture")
"""Columns that are taken for the picture without being asked for, the likeliest first."""


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        name: its name.
        holds: what its cells are.
        type: how the file itself says that.
    """

    name: str
    holds: Literal["picture", "text", "texts", "else"]
    type: str


def picture_column(columns: Sequence[Column], asked: str | None, where: str) -> str:
    """The column with the pictures.

    Args:
        columns: all columns.
        asked: its name; None = a usual one, or the only one with pictures.
        where: the dataset, for messages.
    Raises:
        DataError: no such column, it holds something else, or there are several.
    """
    if asked is not None:
        column = _named(columns, asked, "image_column", where)
        if column.holds != "picture":
            raise DataError(f"{where}: image_column {asked} holds {column.type}, expected pictures")
        return asked
    pictures = [column.name for column in columns if column.holds == "picture"]
    usual = [name for name in USUAL_PICTURES if name in pictures]
    if usual or len(pictures) == 1:
        return (usual or pictures)[0]
    if pictures:
        raise DataError(f"{where}: pictures in columns {', '.join(pictures)}: say with --image_column which")
    raise DataError(f"{where}: no column with pictures; it has {_listed(columns)}")


def caption_column(columns: Sequence[Column], asked: str | None, where: str) -> str | None:
    """The column with the captions; None where no column holds text.

    Args:
        columns: all columns.
        asked: its name; None = a usual one, or the only one with text.
        where: the dataset, for messages.
    Raises:
        DataError: no such column, it holds something else, or there are several.
    """
    if asked is not None:
        column = _named(columns, asked, "caption_column", where)
        if column.holds not in {"text", "texts"}:
            raise DataError(f"{where}: caption_column {asked} holds {column.type}, expected text or lists of texts")
        return asked
    texts = [column.name for column in columns if column.holds in {"text", "texts"}]
    usual = [name for name in USUAL_COLUMNS if name in texts]
    if usual or len(texts) == 1:
        return (usual or texts)[0]
    if texts:
        raise DataError(
            f"{where}: found texts in the columns {', '.join(texts)}: say with --caption_column which holds the captions"
        )
    return None


def _named(columns: Sequence[Column], name: str, setting: str, where: str) -> Column:
    found = next((column for column in columns if column.name == name), None)
    if found is None:
        raise DataError(f"{where}: no column {name} ({setting}){nearest(name, [column.name for column in columns])}")
    return found


def _listed(columns: Sequence[Column]) -> str:
    return ", ".join(f"{column.name} ({column.type})" for column in columns) or "none"

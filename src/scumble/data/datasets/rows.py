"""The rows of a dataset, one after the other, whatever kind of file they lie in."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from scumble.data.datasets.columns import Column


@dataclass(frozen=True)
class Row:
    """One row.

    Attributes:
        picture: the bytes of its picture file; None = it has none.
        captions: one or several alternatives; () = it has none.
        problem: why there is no picture.
    """

    picture: bytes | None
    captions: tuple[str, ...]
    problem: str = ""


class Table(Protocol):
    """A kind of file with rows.

    Attributes:
        has_schema: every row has all columns that `columns` lists.
    """

    has_schema: bool

    def columns(self, path: Path) -> list[Column]:
        """What columns a file has.

        Raises:
            DataError: it cannot be read.
        """
        ...

    def rows(self, path: Path, picture: str, caption: str | None, beside: Path) -> Iterator[Row]:
        """The rows of a file; a few are in memory at a time.

        Args:
            path: the file.
            picture: the column with the pictures.
            caption: the column with the captions, if any.
            beside: the dataset's folder: where a picture lies of which the row has only the path.
        Raises:
            DataError: it cannot be read.
        """
        ...


def row_of(picture: Any, caption: Any, read_beside: Callable[[str], bytes | None]) -> Row:
    """A row from the cells of its two columns.

    Args:
        picture: bytes, or a mapping with `bytes` and `path` as the `datasets` library stores pictures, or None.
        caption: a text, a list of texts, or None.
        read_beside: the bytes of a file that the row names, or None.
    """
    texts = caption if isinstance(caption, list) else [caption]
    captions = tuple(text for text in texts if isinstance(text, str) and text.strip())
    if picture is None:
        return Row(None, captions, "its cell is empty")
    if isinstance(picture, bytes):
        return Row(picture, captions)
    content, path = picture.get("bytes"), picture.get("path")
    if content is None and path:
        content = read_beside(path)
        if content is None:
            return Row(None, captions, f"it names {path}, which is not in the dataset")
    return Row(content, captions, "its cell is empty" if content is None else "")

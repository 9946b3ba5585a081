"""Parquet and Arrow files, by pyarrow, which is an extra."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from scumble.data.datasets.columns import Column
from scumble.data.datasets.rows import Row, row_of
from scumble.errors import DataError

if TYPE_CHECKING:
    import pyarrow

ROWS_AT_ONCE = 16
BUFFER_BYTES = 1 << 20
"""How much of a parquet column is read ahead; otherwise pyarrow takes a whole row group, often 100 pictures, at once."""


class ParquetTable:
    """A .parquet file."""

    has_schema = True

    def columns(self, path: Path) -> list[Column]:
        """What columns a file has."""
        with _said(path) as arrow:
            return columns_of(arrow.parquet.read_schema(path))

    def rows(self, path: Path, picture: str, caption: str | None, beside: Path) -> Iterator[Row]:
        """The rows of a file; a few are in memory at a time."""
        wanted = [picture, *([caption] if caption is not None else [])]
        with _said(path) as arrow, arrow.parquet.ParquetFile(path, buffer_size=BUFFER_BYTES, pre_buffer=False) as file:
            for batch in file.iter_batches(ROWS_AT_ONCE, columns=wanted, use_threads=False):
                yield from _rows(batch, picture, caption, beside)


class ArrowTable:
    """A .arrow file, as a stream, which `datasets` writes, or with a footer."""

    has_schema = True

    def columns(self, path: Path) -> list[Column]:
        """What columns a file has."""
        with _said(path) as arrow, arrow.memory_map(str(path)) as memory:
            return columns_of(_opened(arrow, memory).schema)

    def rows(self, path: Path, picture: str, caption: str | None, beside: Path) -> Iterator[Row]:
        """The rows of a file; the system keeps in memory what it has room for."""
        with _said(path) as arrow, arrow.memory_map(str(path)) as memory:
            reader = _opened(arrow, memory)
            batches = reader if hasattr(reader, "__iter__") else map(reader.get_batch, range(reader.num_record_batches))
            for batch in batches:
                for start in range(0, batch.num_rows, ROWS_AT_ONCE):
                    yield from _rows(batch.slice(start, ROWS_AT_ONCE), picture, caption, beside)


def _opened(arrow: Any, memory: Any) -> Any:
    try:
        return arrow.ipc.open_stream(memory)
    except arrow.ArrowInvalid:
        memory.seek(0)
        return arrow.ipc.open_file(memory)


@contextmanager
def _said(path: Path) -> Iterator[Any]:
    """pyarrow, with its complaints in our words."""
    try:
        import pyarrow
        import pyarrow.ipc
        import pyarrow.parquet
    except ImportError:
        raise DataError(f"{path.name}: {path.suffix} files need pyarrow: pip install 'scumble[hub]'") from None
    try:
        yield pyarrow
    except (pyarrow.ArrowException, OSError) as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise DataError(f"{path}: cannot be read as a {path.suffix} file: {first}") from None


def _rows(batch: Any, picture: str, caption: str | None, beside: Path) -> Iterator[Row]:
    pictures = batch.column(picture).to_pylist()
    captions = [None] * len(pictures) if caption is None else batch.column(caption).to_pylist()
    for cell, text in zip(pictures, captions, strict=True):
        yield row_of(cell, text, lambda path: _file_beside(beside, path))


def _file_beside(folder: Path, name: str) -> bytes | None:
    """A file of the dataset; a name that leads out of its folder is none."""
    path = Path(name)
    if path.is_absolute() or ".." in path.parts or not (folder / path).is_file():
        return None
    return (folder / path).read_bytes()


def columns_of(schema: "pyarrow.Schema") -> list[Column]:
    """The columns of a table, by the types of Arrow and what `datasets` writes of them."""
    said = (schema.metadata or {}).get(b"huggingface", b"{}")
    features = json.loads(said).get("info", {}).get("features", {})
    return [Column(field.name, _holds(field.type, features.get(field.name)), str(field.type)) for field in schema]


def _holds(kind: Any, feature: Any) -> Literal["picture", "text", "texts", "else"]:
    from pyarrow import types

    declared = feature.get("_type") if isinstance(feature, dict) else None
    if _is_text(kind):
        return "text"
    if types.is_list(kind) or types.is_large_list(kind):
        return "texts" if _is_text(kind.value_type) else "else"
    parts = {kind.field(index).name for index in range(kind.num_fields)} if types.is_struct(kind) else set()
    is_file = parts == {"bytes", "path"} or types.is_binary(kind) or types.is_large_binary(kind)
    return "picture" if is_file and declared in {None, "Image", "Value"} else "else"


def _is_text(kind: Any) -> bool:
    from pyarrow import types

    return bool(types.is_string(kind) or types.is_large_string(kind))

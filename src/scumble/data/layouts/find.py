"""Which layout a folder has: every kind is asked in turn, the most particular first, and the first that knows it takes it."""

from collections.abc import Callable
from pathlib import Path

from scumble.data.datasets.shards import ROWS
from scumble.data.layouts import imagefolder, kohya, kohya_toml, plain
from scumble.data.layouts.found import Layout, files_in, folders_in, walk
from scumble.data.pictures import SUFFIXES
from scumble.errors import DataError

Find = Callable[[Path], Layout | None]


def find_layout(path: Path, caption_column: str | None = None) -> Layout:
    """Understand a folder of pictures, or a dataset file.

    Args:
        path: a folder, or a .toml file of kohya's.
        caption_column: of the tables of an imagefolder; None = found out.
    Raises:
        DataError: not there, or there is no picture in it.
    """
    if not path.exists():
        raise DataError(f"{path}: no such folder")
    ways: tuple[Find, ...] = (
        (kohya_toml.find,)
        if path.is_file()
        else (
            lambda folder: imagefolder.find(folder, caption_column),
            kohya.find_one,
            kohya.find_parent,
            kohya.find_project,
            plain.find_flat,
            plain.find_nested,
        )
    )
    layout = next((found for way in ways if (found := way(path)) is not None), None)
    if layout is None:
        raise DataError(_nothing(path))
    if caption_column is not None and layout.name != "imagefolder":
        raise DataError(f"caption_column would have no effect: {path} has no metadata.jsonl or metadata.csv")
    return layout


def _nothing(path: Path) -> str:
    pictures = f"Pictures are {', '.join(sorted(SUFFIXES))}"
    if path.is_file():
        if path.suffix.lower() in ROWS:
            return f"{path}: a file of a dataset: give it to --dataset_name instead"
        return f"{path}: expected a folder of pictures, or kohya's dataset file, which ends with .toml"
    files, folders = files_in(path), folders_in(path)
    if not files and not folders:
        return f"{path}: the folder is empty"
    names = ", ".join(each.name for each in [*files, *folders][:3])
    with_rows = next((each for here in walk(path) for each in files_in(here) if each.suffix.lower() in ROWS), None)
    if with_rows is not None:
        return f"{path}: no picture in it, but a dataset, {with_rows.name}: give the folder to --dataset_name instead"
    return f"{path}: no picture in it nor in the folders in it; it has {names}. {pictures}"

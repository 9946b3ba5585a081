"""What files are called where they are listed: relative to the folder, because 0.png may lie in each of its folders."""

from collections.abc import Sequence
from pathlib import Path

FIRST = 3
"""Names that a sentence lists."""


def root_of(folder: Path) -> Path:
    """What names are relative to: the folder of pictures, or the one that a dataset file lies in."""
    return folder.parent if folder.is_file() else folder


def relative_to(path: Path, root: Path) -> Path:
    """A file's path in the folder; of a file elsewhere its name alone."""
    return path.relative_to(root) if path.is_relative_to(root) else Path(path.name)


def name_in(path: Path, root: Path) -> str:
    """A file's name in the folder, with / on every system; of a file elsewhere its whole path."""
    return (path.relative_to(root) if path.is_relative_to(root) else path).as_posix()


def listed(paths: Sequence[Path], root: Path) -> str:
    """ "dogs/a.png, dogs/b.png, cats/a.png, ...": the first names of several."""
    names = ", ".join(name_in(path, root) for path in paths[:FIRST])
    return f"{names}{', ...' if len(paths) > FIRST else ''}"

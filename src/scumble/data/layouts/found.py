"""What a layout finds: pictures, what is known of each by its place, and every file that is not one."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from scumble.data.pictures import OTHER_PICTURES, SUFFIXES

CAPTION_SUFFIXES = (".txt", ".caption")
"""Of the text beside a picture."""


@dataclass(frozen=True)
class FoundPicture:
    """A picture file and what its place says of it.

    Attributes:
        path: the file.
        captions: from a table that names it; several are alternatives.
        words: from its folder's name, or the class words of a dataset; "" = none.
        repeats: how often it is seen in an epoch.
        is_class: whether it is one of the class pictures of prior preservation.
        caption_suffix: the only suffix of a caption beside it that counts; None = any of `CAPTION_SUFFIXES`.
    """

    path: Path
    captions: tuple[str, ...] = ()
    words: str = ""
    repeats: int = 1
    is_class: bool = False
    caption_suffix: str | None = None


@dataclass(frozen=True)
class Rejected:
    """A file, or a folder, that is not learnt from, and why."""

    path: Path
    reason: str


@dataclass(frozen=True)
class Layout:
    """A folder, understood.

    Attributes:
        name: of the kind of layout.
        said: how it was understood, for the person.
        pictures: in a fixed order.
        rejected: files and folders that are not used.
        used: files that are neither: captions and tables.
        notes: what the person should know besides.
    """

    name: str
    said: str
    pictures: tuple[FoundPicture, ...]
    rejected: tuple[Rejected, ...] = ()
    used: frozenset[Path] = field(default_factory=frozenset)
    notes: tuple[str, ...] = ()


def entries(folder: Path) -> list[Path]:
    """What lies in a folder, by name; hidden names are passed over."""
    return sorted(Path(entry) for entry in os.scandir(folder) if not entry.name.startswith("."))


def folders_in(folder: Path) -> list[Path]:
    """The folders in a folder, links to folders too."""
    return [path for path in entries(folder) if path.is_dir()]


def files_in(folder: Path) -> list[Path]:
    """The files in a folder; links to nothing too, so that they are reported."""
    return [path for path in entries(folder) if not path.is_dir()]


def is_picture(path: Path) -> bool:
    """By its suffix."""
    return path.suffix.lower() in SUFFIXES


def has_pictures(folder: Path) -> bool:
    """Whether a picture lies in the folder itself."""
    return any(is_picture(path) for path in files_in(folder))


def walk(folder: Path) -> Iterator[Path]:
    """A folder and all folders in it, top first; a folder that is reached twice through links is entered once."""
    seen: set[Path] = set()
    waiting = [folder]
    while waiting:
        here = waiting.pop(0)
        if here.resolve() not in seen:
            seen.add(here.resolve())
            yield here
            waiting += folders_in(here)


def pictures_in(folder: Path, **known: object) -> tuple[list[FoundPicture], list[Rejected], set[Path]]:
    """The pictures of one folder, what else lies there, and the captions beside the pictures.

    Args:
        folder: not the folders in it.
        known: attributes that all its pictures have.
    """
    files = files_in(folder)
    pictures = [path for path in files if is_picture(path)]
    stems = {path.stem for path in pictures}
    captions = {path for path in files if path.suffix.lower() in CAPTION_SUFFIXES and path.stem in stems}
    others = [path for path in files if path not in captions and not is_picture(path)]
    found = [FoundPicture(path, **known) for path in pictures]  # type: ignore[arg-type]
    return found, [Rejected(path, why_not(path)) for path in others], captions


def why_not(path: Path) -> str:
    """Why a file that is no picture is not used."""
    suffix = path.suffix.lower()
    if suffix in CAPTION_SUFFIXES:
        return "no picture goes with this caption"
    if suffix in OTHER_PICTURES:
        return f"{suffix} pictures are not read: save it as PNG or JPEG"
    return "not a picture"

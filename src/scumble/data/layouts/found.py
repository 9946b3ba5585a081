"""What a layout finds: pictures, what is known of each by its place, and every file that is not one."""

import errno
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from scumble.data.beginnings import LONGEST, suffix_of
from scumble.data.pictures import OTHER_PICTURES, SUFFIXES
from scumble.errors import DataError

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
    """What lies in a folder, by name; hidden names are passed over.

    Raises:
        DataError: this user may not read the folder.
    """
    return [Path(entry) for entry in _scanned(folder)]


def folders_in(folder: Path) -> list[Path]:
    """The folders in a folder, links to folders too."""
    return [Path(entry) for entry in _scanned(folder) if _is_folder(entry)]


def files_in(folder: Path) -> list[Path]:
    """The files in a folder; links to nothing too, so that they are reported."""
    return [Path(entry) for entry in _scanned(folder) if not _is_folder(entry)]


def _scanned(folder: Path) -> "list[os.DirEntry[str]]":
    """The entries of a folder, by name as paths are sorted on this system; making a path of each first takes longer."""
    try:
        visible = [entry for entry in os.scandir(folder) if not entry.name.startswith(".")]
        if visible and not os.access(folder, os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except PermissionError as error:
        raise DataError(f"{folder}: the folder cannot be read: {error.strerror}") from None
    return sorted(visible, key=lambda entry: os.path.normcase(entry.name))


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    """Whether it is a folder or a link to one; of most entries the system said so already."""
    return entry.is_dir(follow_symlinks=False) or (entry.is_symlink() and Path(entry).is_dir())


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
            waiting += folders_in(here)
            yield here


def pictures_in(folder: Path, **known: object) -> tuple[list[FoundPicture], list[Rejected], set[Path]]:
    """The pictures of one folder, what else lies there, and the captions beside the pictures.

    Args:
        folder: not the folders in it.
        known: attributes that all its pictures have.
    """
    files = files_in(folder)
    pictures = {path for path in files if is_picture(path) and path.exists()}
    stems = {path.stem for path in pictures}
    captions = {path for path in files if path.suffix.lower() in CAPTION_SUFFIXES and path.stem in stems}
    found = [FoundPicture(path, **known) for path in files if path in pictures]  # type: ignore[arg-type]
    used = captions | pictures  # made once: for each file it would take time by the square of their number
    rejected = [Rejected(path, why_not(path)) for path in files if path not in used]
    return found, rejected, captions


def why_not(path: Path) -> str:
    """Why a file that is not read as a picture is not used."""
    if not path.exists():
        return f"a link to {path.readlink()}, which is not there"
    suffix = path.suffix.lower()
    if suffix in CAPTION_SUFFIXES:
        return "no picture goes with this caption"
    if suffix in OTHER_PICTURES:
        return f"{suffix} pictures are not read: save it as PNG or JPEG"
    if not path.is_file():
        return "not a file"  # a pipe would be waited for
    try:
        with path.open("rb") as file:
            meant = suffix_of(file.read(LONGEST))
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    return "not a picture" if meant is None else f"a picture whose name does not say so: add {meant} to it"

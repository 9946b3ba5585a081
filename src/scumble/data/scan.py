"""From a folder to examples: every file ends kept or rejected with its reason, every picture has a caption."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from scumble.data.pictures import OTHER_PICTURES, SUFFIXES, read_picture
from scumble.errors import DataError

CaptionSource = Literal["sidecar", "trigger", "given"]


@dataclass(frozen=True)
class Example:
    """One picture to learn from.

    Attributes:
        path: the picture file.
        caption: what the text encoder reads; may be empty by choice.
        source: where the caption came from.
        content: SHA-256 of the file's bytes: what caches and fingerprints know it by.
        size_px: width and height of the upright picture.
    """

    path: Path
    caption: str
    source: CaptionSource
    content: str
    size_px: tuple[int, int]


@dataclass(frozen=True)
class Rejected:
    """A file, or a folder of pictures, that is not learnt from, and why."""

    path: Path
    reason: str


@dataclass(frozen=True)
class Scan:
    """What was found in a folder: every visible file is an example, rejected, or one of the sidecars."""

    folder: Path
    examples: tuple[Example, ...]
    rejected: tuple[Rejected, ...]
    sidecars: int

    def fingerprint(self) -> str:
        """SHA-256 over contents and captions, whatever the files are called."""
        lines = sorted(f"{example.content} {example.caption}" for example in self.examples)
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def scan_folder(folder: Path, trigger: str | None = None, caption: str | None = None) -> Scan:
    """Find the pictures of a flat folder and their captions.

    A caption is the .txt file beside the picture; else `caption`; else "a photo of <trigger>".

    Raises:
        DataError: no such folder, no usable picture, or a picture without any caption.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder")
    files = _visible_files(folder)
    pictures = [path for path in files if path.suffix.lower() in SUFFIXES]
    stems = {path.stem for path in pictures}
    sidecars = {path.stem: path for path in files if path.suffix.lower() == ".txt" and path.stem in stems}
    rejected = [
        Rejected(path, _why_not(path)) for path in files if path not in pictures and path not in sidecars.values()
    ]
    rejected += [Rejected(path, "a folder: name it to use its pictures") for path in _folders_of_pictures(folder)]
    examples: list[Example] = []
    uncaptioned: list[Path] = []
    for path in pictures:
        try:
            size_px = read_picture(path).size
        except DataError as error:
            rejected.append(Rejected(path, str(error)))
            continue
        text, source = _caption_of(sidecars.get(path.stem), trigger, caption)
        if text is None:
            uncaptioned.append(path)
        else:
            examples.append(Example(path, text, source, hash_file(path), size_px))
    if uncaptioned:
        raise DataError(
            f"{_named(uncaptioned)} in {folder} without a caption: write a .txt file beside each, "
            f'or give --trigger "sks dog" (caption "a photo of sks dog"), or --caption "" for the empty prompt'
        )
    if not examples:
        raise DataError(_nothing_found(folder, rejected))
    return Scan(folder, tuple(examples), tuple(rejected), len(sidecars))


def hash_file(path: Path) -> str:
    """SHA-256 of a file's bytes, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _visible_files(folder: Path) -> list[Path]:
    """The files of a folder by name; links to nothing too, so that they are reported."""
    found = (path for path in folder.iterdir() if not path.name.startswith("."))
    return sorted(path for path in found if path.is_file() or (path.is_symlink() and not path.exists()))


def _folders_of_pictures(folder: Path) -> list[Path]:
    inside = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    return [path for path in inside if any(file.suffix.lower() in SUFFIXES for file in path.iterdir())]


def _why_not(path: Path) -> str:
    suffix = path.suffix.lower()
    if suffix == ".txt":
        return "no picture goes with this caption"
    if suffix == ".caption":
        return "captions are .txt files: rename it"
    if suffix in OTHER_PICTURES:
        return f"{suffix} pictures are not read: save it as PNG or JPEG"
    return "not a picture"


def _caption_of(sidecar: Path | None, trigger: str | None, caption: str | None) -> tuple[str | None, CaptionSource]:
    if sidecar is not None:
        return _read_caption(sidecar), "sidecar"
    if caption is not None:
        return caption, "given"
    return (f"a photo of {trigger}" if trigger else None), "trigger"


def _read_caption(sidecar: Path) -> str:
    try:
        return " ".join(sidecar.read_text(encoding="utf-8-sig").split())
    except UnicodeDecodeError:
        raise DataError(f"caption {sidecar} is not UTF-8 text: save it as UTF-8") from None


def _named(paths: Sequence[Path]) -> str:
    names = ", ".join(path.name for path in paths[:3])
    more = f" and {len(paths) - 3} more" if len(paths) > 3 else ""
    return f"{len(paths)} picture{'s' if len(paths) > 1 else ''} ({names}{more})"


def _nothing_found(folder: Path, rejected: Sequence[Rejected]) -> str:
    inside = sorted(path.name for path in folder.iterdir() if path.is_dir())
    files = [item for item in rejected if not item.path.is_dir()]
    if inside and not files:
        return f"{folder}: no picture in it; it has the folders {', '.join(inside[:3])}: name one of them"
    if not rejected:
        return f"{folder}: the folder is empty"
    reasons = "; ".join(f"{item.path.name}: {item.reason}" for item in rejected[:3])
    return (
        f"{folder}: none of its {len(files)} files can be used ({reasons}). Pictures are {', '.join(sorted(SUFFIXES))}"
    )

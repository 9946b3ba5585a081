"""From a folder to examples: every file ends kept or rejected with its reason, every picture has a caption."""

import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from scumble.data.captions import WITHOUT, CaptionRule, Captions, CaptionSource, captions_of
from scumble.data.layouts.find import find_layout
from scumble.data.layouts.found import FoundPicture, Layout, Rejected
from scumble.data.pictures import USUAL, PictureRule, read_picture
from scumble.errors import DataError

FIRST = 3
"""Names that a message lists."""


@dataclass(frozen=True)
class Example:
    """One picture to learn from.

    Attributes:
        path: the picture file.
        captions: what the text encoder reads, one or several alternatives; may be empty by choice.
        source: where they came from.
        content: SHA-256 of the file's bytes: what caches and fingerprints know it by.
        size_px: width and height of the upright picture.
        repeats: how often it is seen in an epoch.
        rule: how the file is read.
    """

    path: Path
    captions: tuple[str, ...]
    source: CaptionSource
    content: str
    size_px: tuple[int, int]
    repeats: int = 1
    rule: PictureRule = USUAL

    @property
    def caption(self) -> str:
        """The first caption."""
        return self.captions[0]


@dataclass(frozen=True)
class Scan:
    """What was found: every visible file is an example, a class picture, rejected, or used beside them.

    Attributes:
        folder: what was named.
        layout: name of the kind of layout.
        said: how it was understood.
        examples: the own pictures.
        classes: pictures for prior preservation, where the layout tells them apart.
        rejected: files and folders that are not used.
        num_used: captions and tables beside the pictures.
        notes: what the person should know besides.
    """

    folder: Path
    layout: str
    said: str
    examples: tuple[Example, ...]
    classes: tuple[Example, ...]
    rejected: tuple[Rejected, ...]
    num_used: int
    notes: tuple[str, ...] = ()

    def fingerprint(self) -> str:
        """SHA-256 over contents, captions and repeats, whatever the files are called."""
        lines = sorted(json.dumps([example.content, example.captions, example.repeats]) for example in self.examples)
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()


@dataclass(frozen=True)
class ScanRule:
    """How a folder is read.

    Attributes:
        captions: where captions come from.
        pictures: what is done where a picture file leaves it open.
        caption_column: of an imagefolder's tables; None = found out.
    """

    captions: CaptionRule = WITHOUT
    pictures: PictureRule = USUAL
    caption_column: str | None = None


def scan_folder(folder: Path, rule: ScanRule | None = None) -> Scan:
    """Find the pictures of a folder, in whatever layout it has, and their captions.

    Raises:
        DataError: no such folder, no usable picture, or a picture without any caption.
    """
    rule = rule or ScanRule()
    layout = find_layout(folder, rule.caption_column)
    rejected = list(layout.rejected)
    examples: list[Example] = []
    classes: list[Example] = []
    uncaptioned: list[Path] = []
    with ThreadPoolExecutor(os.cpu_count()) as threads:  # decoding runs outside Python's lock
        looked_at = threads.map(lambda picture: _looked_at(picture, rule), layout.pictures)
        for picture, (found, captions) in zip(layout.pictures, looked_at, strict=True):
            if isinstance(found, Rejected):
                rejected.append(found)
            elif captions is None:
                uncaptioned.append(picture.path)
            else:
                size_px, content = found
                texts, source = captions.texts, captions.source
                example = Example(picture.path, texts, source, content, size_px, picture.repeats, rule.pictures)
                (classes if picture.is_class else examples).append(example)
    if uncaptioned:
        raise DataError(
            f"{_named(uncaptioned)} in {folder} without a caption: write a .txt file beside each, "
            f'or give --trigger "sks dog" (caption "a photo of sks dog"), or --caption "" for the empty prompt'
        )
    if not examples:
        raise DataError(_nothing_usable(folder, rejected))
    notes = (*layout.notes, *_notes_on_links(layout))
    return Scan(
        folder,
        layout.name,
        layout.said,
        tuple(examples),
        tuple(classes),
        tuple(rejected),
        len(layout.used),
        notes,
    )


Seen = tuple[tuple[int, int], str]
"""Size in pixels, and SHA-256 of the file."""


def _looked_at(picture: FoundPicture, rule: ScanRule) -> tuple[Seen | Rejected, Captions | None]:
    """A picture decoded once, with its captions; a caption that cannot be read stops the scan."""
    try:
        size_px = read_picture(picture.path, rule.pictures).size
    except DataError as error:
        return Rejected(picture.path, str(error)), None
    return (size_px, hash_file(picture.path)), captions_of(picture, rule.captions)


def hash_file(path: Path) -> str:
    """SHA-256 of a file's bytes, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _notes_on_links(layout: Layout) -> Iterable[str]:
    links = [picture.path for picture in layout.pictures if _is_linked(picture.path)]
    if links:
        yield f"{_named(links)} {'are links' if len(links) > 1 else 'is a link'}, and followed"


def _is_linked(path: Path) -> bool:
    return path.is_symlink() or path.parent.is_symlink()


def _named(paths: Sequence[Path]) -> str:
    names = ", ".join(path.name for path in paths[:FIRST])
    more = f" and {len(paths) - FIRST} more" if len(paths) > FIRST else ""
    return f"{len(paths)} picture{'s' if len(paths) > 1 else ''} ({names}{more})"


def _nothing_usable(folder: Path, rejected: Sequence[Rejected]) -> str:
    reasons = "; ".join(f"{item.path.name}: {item.reason}" for item in rejected[:FIRST])
    return f"{folder}: none of its {len(rejected)} files can be used ({reasons})"

"""From a folder to examples: every file ends kept or rejected with its reason, every picture has a caption."""

import hashlib
import json
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from scumble.data.captions import WITHOUT, CaptionRule, CaptionSource, captions_of
from scumble.data.in_order import in_order
from scumble.data.layouts.find import find_layout
from scumble.data.layouts.found import FoundPicture, Layout, Rejected, folders_in, is_picture
from scumble.data.masks import WITHOUT_MASKS, Mask, MaskRule, mask_of
from scumble.data.names import name_in, root_of
from scumble.data.pictures import USUAL, PictureRule
from scumble.data.quality import Look
from scumble.data.seen import SeenPictures, sight_of
from scumble.errors import DataError
from scumble.quantities import counted

FIRST = 3
"""Names that a message lists."""

Result = TypeVar("Result")


@dataclass(frozen=True)
class Example:
    """One picture to learn from.

    Attributes:
        path: the picture file.
        captions: what the text encoder reads, one or several alternatives, which may be empty by choice; () only where
            a scan lists the pictures without any.
        source: where they came from.
        content: SHA-256 of the file's bytes: what caches and fingerprints know it by.
        size_px: width and height of the upright picture.
        repeats: how often it is seen in an epoch.
        rule: how the file is read.
        look: at the decoded picture.
        caption_path: the text beside the picture, where its captions came from that.
        mask: what of the picture counts; None = all.
    """

    path: Path
    captions: tuple[str, ...]
    source: CaptionSource
    content: str
    size_px: tuple[int, int]
    repeats: int = 1
    rule: PictureRule = USUAL
    look: Look | None = None
    caption_path: Path | None = None
    mask: Mask | None = None

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
        uncaptioned: own and class pictures without any caption.
        unread: pictures whose captions cannot be read, and why.
    """

    folder: Path
    layout: str
    said: str
    examples: tuple[Example, ...]
    classes: tuple[Example, ...]
    rejected: tuple[Rejected, ...]
    num_used: int
    notes: tuple[str, ...] = ()
    uncaptioned: tuple[Example, ...] = ()
    unread: tuple[Rejected, ...] = ()

    def fingerprint(self) -> str:
        """SHA-256 over contents, captions, repeats and masks, whatever the files are called."""
        lines = sorted(
            json.dumps([example.content, example.captions, example.repeats, example.mask and example.mask.content])
            for example in self.examples
        )
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()


@dataclass(frozen=True)
class ScanRule:
    """How a folder is read.

    Attributes:
        captions: where captions come from.
        pictures: what is done where a picture file leaves it open.
        caption_column: of an imagefolder's tables; None = found out.
        masks: where masks come from.
    """

    captions: CaptionRule = WITHOUT
    pictures: PictureRule = USUAL
    caption_column: str | None = None
    masks: MaskRule = WITHOUT_MASKS


OR_GIVE = 'give --trigger "sks dog" (caption "a photo of sks dog"), or --caption "" for the empty prompt'
"""What gives pictures without a caption one."""


def scan_folder(folder: Path, rule: ScanRule | None = None, or_give: str = OR_GIVE) -> Scan:
    """Find the pictures of a folder, in whatever layout it has, and their captions: a scan that can be trained on.

    Raises:
        DataError: no such folder, no usable picture, a picture without any caption, or with one that cannot be read.
    """
    return usable(result_of(survey(folder, rule)), or_give)


def result_of(steps: Generator[Any, None, Result]) -> Result:
    """What a generator returns, when nobody wants to hear of its progress."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: Result = end.value
            return result


def usable(scan: Scan, or_give: str = OR_GIVE) -> Scan:
    """The scan, if it can be trained on.

    Args:
        scan: of a folder.
        or_give: what a person can do about captions besides writing them.
    Raises:
        DataError: no usable picture, a picture without any caption, or with one that cannot be read.
    """
    if scan.unread:
        raise DataError(scan.unread[0].reason)
    if scan.uncaptioned:
        names = _named([example.path for example in scan.uncaptioned], scan.folder)
        raise DataError(f"{names} in {scan.folder} without a caption: write a .txt file beside each, or {or_give}")
    if not scan.examples:
        raise DataError(_nothing_usable(scan.folder, scan.rejected))
    return scan


def survey(
    folder: Path, rule: ScanRule | None = None, seen: SeenPictures | None = None
) -> Generator[tuple[int, int], None, Scan]:
    """The same, picture by picture, and going on where captions or pictures are missing: the scan says so.

    Args:
        folder: of pictures, or a dataset file.
        rule: how it is read.
        seen: knows what earlier scans saw, by the same rule for pictures, and keeps what this one sees; None = every
            file is opened.
    Yields:
        How many pictures were looked at, of how many.
    Raises:
        DataError: no such folder, or a layout that cannot be understood.
    """
    rule = rule or ScanRule()
    layout = find_layout(folder, rule.caption_column)
    examples: list[Example] = []
    classes: list[Example] = []
    uncaptioned: list[Example] = []
    rejected, unread = [*layout.rejected, *_folders_named_as_pictures(layout)], list[Rejected]()
    looked_at = in_order(lambda picture: _looked_at(picture, rule, seen), layout.pictures)
    for done, (picture, (example, problem)) in enumerate(zip(layout.pictures, looked_at, strict=True), 1):
        if example is None:
            rejected.append(Rejected(picture.path, problem))
        elif problem:
            unread.append(Rejected(picture.path, problem))
        elif not example.captions:
            uncaptioned.append(example)
        else:
            (classes if picture.is_class else examples).append(example)
        yield done, len(layout.pictures)
    return Scan(
        folder,
        layout.name,
        layout.said,
        tuple(examples),
        tuple(classes),
        tuple(rejected),
        len(layout.used),
        (*layout.notes, *_notes_on_links(layout, folder), *(_kept(seen) if seen is not None else ())),
        tuple(uncaptioned),
        tuple(unread),
    )


def _kept(seen: SeenPictures) -> Iterator[str]:
    """Keep what was seen for the next scan; what keeps it from being kept is for the person to know."""
    try:
        seen.write()
    except OSError as error:
        yield f"the next scan has to open all pictures again: the cache cannot be written to ({error.strerror})"


def _looked_at(picture: FoundPicture, rule: ScanRule, seen: SeenPictures | None) -> tuple[Example | None, str]:
    """A picture, opened unless it is known, with its captions; and why it, or if it is there its caption, cannot be read."""
    try:
        sight = sight_of(picture.path, rule.pictures) if seen is None else seen.sight_of(picture.path)
        mask = mask_of(picture.path, sight.size_px, rule.masks)
    except DataError as error:
        return None, str(error)
    except OSError as error:  # it was there a moment ago
        return None, f"cannot be read: {error.strerror}"
    captions, problem = None, ""
    try:
        captions = captions_of(picture, rule.captions)
    except DataError as error:
        problem = str(error)
    example = Example(
        picture.path,
        captions.texts if captions else (),
        captions.source if captions else "none",
        sight.content,
        sight.size_px,
        picture.repeats,
        rule.pictures,
        sight.look,
        captions.path if captions else None,
        mask,
    )
    return example, problem


def _folders_named_as_pictures(layout: Layout) -> Iterable[Rejected]:
    """Folders beside pictures that are named like one, which are not among the files, and which nothing was said of."""
    folders = {picture.path.parent for picture in layout.pictures}
    entered = folders | {parent for folder in folders for parent in folder.parents}
    known = {item.path for item in layout.rejected} | entered
    for folder in sorted(folders):
        for path in folders_in(folder):
            if is_picture(path) and path not in known:
                yield Rejected(path, "a folder, not a picture")


def _notes_on_links(layout: Layout, folder: Path) -> Iterable[str]:
    links = [picture.path for picture in layout.pictures if _is_linked(picture.path)]
    if links:
        yield f"{_named(links, folder)} {'are links' if len(links) > 1 else 'is a link'}, and followed"


def _is_linked(path: Path) -> bool:
    return path.is_symlink() or path.parent.is_symlink()


def _named(paths: Sequence[Path], folder: Path) -> str:
    names = ", ".join(name_in(path, root_of(folder)) for path in paths[:FIRST])
    more = f" and {len(paths) - FIRST} more" if len(paths) > FIRST else ""
    return f"{counted(len(paths), 'picture')} ({names}{more})"


def _nothing_usable(folder: Path, rejected: Sequence[Rejected]) -> str:
    reasons = "; ".join(f"{name_in(item.path, root_of(folder))}: {item.reason}" for item in rejected[:FIRST])
    none = "its only file cannot" if len(rejected) == 1 else f"none of its {len(rejected)} files can"
    return f"{folder}: {none} be used ({reasons})"

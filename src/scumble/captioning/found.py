"""Which pictures are captioned, and where the caption of each lies: as training understands the same folder."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from scumble.data.captions import WITHOUT, captions_of
from scumble.data.layouts.find import find_layout
from scumble.data.layouts.found import CAPTION_SUFFIXES, FoundPicture, Rejected, is_picture
from scumble.data.names import name_in, root_of
from scumble.data.pictures import OTHER_PICTURES
from scumble.errors import ConfigError, DataError
from scumble.quantities import counted


@dataclass(frozen=True)
class Found:
    """The pictures of a folder.

    Attributes:
        folder: what names are relative to.
        pictures: in a fixed order.
        unread: pictures of kinds that are not read or that are not there, and why.
        notes: how the folder was understood, and what is left out of it.
    """

    folder: Path

    pictures: tuple[FoundPicture, ...]
    unread: tuple[Rejected, ...] = ()
    notes: tuple[str, ...] = ()


def find_pictures(path: Path, caption_column: str | None = None) -> Found:
    """The pictures to caption: of a folder, a dataset file, or the one picture.

    Args:
        path: which.
        caption_column: of the tables of an imagefolder, with the captions that are there; None = found out.
    Raises:
        ConfigError: a column where there is no table.
        DataError: nothing there, or no picture.
    """
    if path.is_file() and is_picture(path):
        if caption_column is not None:
            raise ConfigError(f"caption_column would have no effect: {path} is one picture; leave it out")
        return Found(path.parent, (FoundPicture(path),))
    layout, root = find_layout(path, caption_column), root_of(path)
    unread = [each for each in layout.rejected if _is_meant_as_picture(each.path)]
    others = [
        f"left out: {name_in(each.path, root)}: {each.reason}"
        for each in layout.rejected
        if not _is_meant_as_picture(each.path)
    ]
    if not layout.pictures and not unread:
        raise DataError(f"{path}: no picture to caption; {'; '.join(others)}")
    pictures = {picture.path: picture for picture in layout.pictures}  # a dataset file may name a folder twice
    own = tuple(picture for picture in pictures.values() if not picture.is_class)
    left_out = len(pictures) - len(own)
    notes = [layout.said, *others]  # the layout's own notes are on what training takes from it
    if own and left_out:
        are_left = counted(left_out, "class picture is left as it is", "class pictures are left as they are")
        notes.append(f"{are_left}: name their folder to caption them")
    return Found(root, own or tuple(pictures.values()), tuple(unread), tuple(notes))


def _is_meant_as_picture(path: Path) -> bool:
    return not path.is_dir() and (is_picture(path) or path.suffix.lower() in OTHER_PICTURES)


def caption_path(picture: FoundPicture) -> Path:
    """Where its caption is written."""
    return picture.path.with_suffix(picture.caption_suffix or CAPTION_SUFFIXES[0])


def present_caption(picture: FoundPicture) -> str:
    """The caption of its own that a picture has, beside it or in a table; "" = none. Alternatives stand on lines.

    Raises:
        DataError: it cannot be read, or two texts beside the picture differ.
    """
    present = captions_of(picture, WITHOUT)
    return "\n".join(present.texts) if present is not None and present.source in {"sidecar", "table"} else ""


def contradicting(picture: FoundPicture) -> Path | None:
    """A text beside a picture, other than the one that is written, that would say something else."""
    if picture.caption_suffix is not None:
        return None
    written = caption_path(picture)
    spelled = [each for suffix in CAPTION_SUFFIXES for each in (suffix, suffix.upper())]
    others = [path for path in map(picture.path.with_suffix, spelled) if path != written and path.is_file()]
    if written.exists():
        others = [path for path in others if not path.samefile(written)]  # where A.TXT and A.txt are one file
    return next((path for path in others if path.read_bytes().strip()), None)


def twins(pictures: Sequence[FoundPicture]) -> dict[Path, Path]:
    """Pictures whose caption would be that of another, such as a.png beside a.jpg -> the other."""
    first: dict[Path, Path] = {}
    for picture in pictures:
        first.setdefault(caption_path(picture), picture.path)
    owners = {picture.path: first[caption_path(picture)] for picture in pictures}
    return {path: owner for path, owner in owners.items() if path != owner}

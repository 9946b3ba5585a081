"""The captions of a picture: from the text beside it, else a table, else the words of its folder, else the trigger."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from scumble.data.layouts.found import CAPTION_SUFFIXES, FoundPicture
from scumble.data.text_files import read_text
from scumble.errors import DataError

CaptionSource = Literal["sidecar", "table", "words", "given", "trigger", "none"]


@dataclass(frozen=True)
class CaptionRule:
    """How captions are made where a picture has none of its own, and read where it has.

    Attributes:
        trigger: makes "a photo of TRIGGER".
        given: the caption of pictures without any; may be empty by choice.
        by_line: each line of a text beside a picture is a caption of its own; otherwise all of it is one.
        prefix, suffix: written before and after every caption, with one space between, as kohya does; "" = none.
    """

    trigger: str | None = None
    given: str | None = None
    by_line: bool = False
    prefix: str = ""
    suffix: str = ""


WITHOUT = CaptionRule()
"""Pictures have captions of their own, or none."""


@dataclass(frozen=True)
class Captions:
    """Of one picture.

    Attributes:
        texts: one or several alternatives.
        source: where they came from.
        path: the text beside the picture, where they came from that.
    """

    texts: tuple[str, ...]
    source: CaptionSource
    path: Path | None = None


def captions_of(picture: FoundPicture, rule: CaptionRule) -> Captions | None:
    """The captions of a picture, or None where there is no caption at all.

    Raises:
        DataError: a text cannot be read, or two texts beside the picture differ.
    """
    found = _own(picture, rule) or _made(picture, rule)
    if found is None:
        return None
    return Captions(tuple(_framed(text, rule) for text in found.texts), found.source, found.path)


def _own(picture: FoundPicture, rule: CaptionRule) -> Captions | None:
    beside = _beside(picture)
    if beside is not None:
        lines = read_text(beside).splitlines() if rule.by_line else [read_text(beside)]
        texts = [_one_line(line) for line in lines]
        return Captions(tuple(text for text in texts if text) or ("",), "sidecar", beside)
    if picture.captions:
        return Captions(tuple(_one_line(text) for text in picture.captions), "table")
    return None


def _made(picture: FoundPicture, rule: CaptionRule) -> Captions | None:
    if picture.words:
        return Captions((picture.words,), "words")
    if rule.given is not None:
        return Captions((rule.given,), "given")
    return Captions((f"a photo of {rule.trigger}",), "trigger") if rule.trigger else None


def _beside(picture: FoundPicture) -> Path | None:
    """The text beside a picture; where there are two, they must say the same."""
    suffixes: Sequence[str] = (picture.caption_suffix,) if picture.caption_suffix else CAPTION_SUFFIXES
    names = [picture.path.with_suffix(spelled) for suffix in suffixes for spelled in (suffix, suffix.upper())]
    there = [path for path in names if path.is_file()]
    if len(there) > 1:  # where .txt and .TXT are one name they are one file
        there = list({path.resolve(): path for path in there}.values())
    if len(there) > 1 and len({_one_line(read_text(path)) for path in there}) > 1:
        listed = " and ".join(path.name for path in there)
        raise DataError(f"{picture.path.parent}: {listed} differ: keep one of them")
    return there[0] if there else None


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _framed(text: str, rule: CaptionRule) -> str:
    return " ".join(part for part in (rule.prefix.strip(), text, rule.suffix.strip()) if part)

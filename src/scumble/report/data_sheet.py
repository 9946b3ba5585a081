"""What a run learnt from, as its folder keeps it: each picture with its captions and its cut, and what was left out and why."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from scumble.data.content import hash_file
from scumble.data.pictures import PictureRule, read_picture
from scumble.errors import DataError


@dataclass(frozen=True)
class Trained:
    """A training picture.

    Attributes:
        path: where it lay.
        name: in its folder.
        captions: what the text encoder read.
        content: SHA-256 of the file.
        size_px: width and height.
        cut_px: what it was cut to.
        repeats: how often it was seen in an epoch.
        is_held_out: it was not trained on, but measured.
        is_masked: only a part of it counted.
    """

    path: Path
    name: str
    captions: tuple[str, ...]
    content: str
    size_px: tuple[int, int]
    cut_px: tuple[int, int]
    repeats: int
    is_held_out: bool
    is_masked: bool

    def image(self) -> Image.Image | None:
        """The picture, if it is still there and the same."""
        try:
            return read_picture(self.path, PictureRule(first_frame=True)) if self._is_the_same() else None
        except (DataError, OSError):
            return None

    def _is_the_same(self) -> bool:
        return self.path.is_file() and hash_file(self.path) == self.content


@dataclass(frozen=True)
class DataSheet:
    """All of them.

    Attributes:
        folder: what was named.
        said: how it was understood.
        fingerprint: SHA-256 over contents, captions, repeats and masks.
        pictures: in their order.
        rejected: name -> why it was left out.
    """

    folder: str
    said: str
    fingerprint: str
    pictures: tuple[Trained, ...]
    rejected: Mapping[str, str]

    @property
    def buckets(self) -> Sequence[tuple[tuple[int, int], int]]:
        """Size of a cut, and how many pictures have it; the most frequent first."""
        return Counter(picture.cut_px for picture in self.pictures).most_common()


def read_data_sheet(path: Path) -> DataSheet | None:
    """The data sheet of a run; None where it has none that can be read."""
    try:
        values = json.loads(path.read_bytes())
        return DataSheet(
            str(values["folder"]),
            str(values["said"]),
            str(values["fingerprint"]),
            tuple(_trained(each) for each in values["pictures"]),
            {str(each["name"]): str(each["reason"]) for each in values["rejected"]},
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _trained(values: Mapping[str, Any]) -> Trained:
    return Trained(
        Path(values["path"]),
        str(values["name"]),
        tuple(map(str, values["captions"])),
        str(values["content"]),
        _size(values["size_px"]),
        _size(values["cut_px"]),
        int(values["repeats"]),
        bool(values["is_held_out"]),
        bool(values["is_masked"]),
    )


def _size(sides: Sequence[Any]) -> tuple[int, int]:
    width, height = sides
    return int(width), int(height)

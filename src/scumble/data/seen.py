"""What scans saw of picture files, kept so that the next one need not open them again."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

import PIL

from scumble.data.content import hash_file
from scumble.data.ledger import Ledger, Line
from scumble.data.pictures import PictureRule, decode_small
from scumble.data.quality import LOOK_PX, Look, look_at
from scumble.data.thumbnails import Thumbnails

VERSION = 1
"""Part of every key: raise it when a look changes."""

FOLDER = "seen"
SETTLED_NS = 2_000_000_000
"""Age of a file's last change from which another one would bear another time; FAT counts in steps of two seconds."""


@dataclass(frozen=True)
class Sight:
    """What is known of a picture file once it was opened.

    Attributes:
        content: SHA-256 of its bytes.
        size_px: width and height of the upright picture.
        look: at the picture.
    """

    content: str
    size_px: tuple[int, int]
    look: Look


class SeenPictures:
    """Sights of the files of one folder, under one rule.

    A file counts as unchanged while its size, its number on the disk, and the times of its last change are the same. One of
    those times is set by the system, not by programs, so an editor that sets the other back is noticed. Windows tells no
    such time: there every file is opened again.

    Args:
        cache: folder of the cache.
        folder: of the pictures.
        rule: how files are read.
        thumbnails: made of the first pictures that are opened; None = of none.
    """

    def __init__(self, cache: Path, folder: Path, rule: PictureRule, thumbnails: Thumbnails | None = None) -> None:
        self._root = folder.resolve()
        key: Line = [VERSION, PIL.__version__, str(self._root), *rule.background, rule.first_frame]
        self._ledger = Ledger(cache / FOLDER, key)
        self._rule = rule
        self._thumbnails = thumbnails

    def sight_of(self, path: Path) -> Sight:
        """What is known of a file, which is opened if it must be; any thread may ask.

        Raises:
            DataError: why it cannot be read, without its name.
            OSError: it is not there any more.
        """
        name, stamp = _name_of(path), _stamp_of(path)
        known = self._ledger.get(name)
        if known is not None and known[: len(stamp)] == stamp:
            return _as_sight(known[len(stamp) :])
        sight = sight_of(path, self._rule, self._thumbnails)
        if _is_settled(stamp):
            self._ledger.put(name, [*stamp, *_as_line(sight)])
        return sight

    def write(self) -> None:
        """Keep what was seen.

        Raises:
            OSError: the cache cannot be written to.
        """
        self._ledger.write()


def sight_of(path: Path, rule: PictureRule, thumbnails: Thumbnails | None = None) -> Sight:
    """Open a picture file and look at it.

    Args:
        path: the file.
        rule: how it is read.
        thumbnails: that want one of it, perhaps.
    Raises:
        DataError: why it cannot be read, without its name.
        OSError: it is not there any more.
    """
    image, size_px = decode_small(path, rule, LOOK_PX)
    sight = Sight(hash_file(path), size_px, look_at(image))
    if thumbnails is not None:
        thumbnails.offer(sight.content, image)
    return sight


def _name_of(path: Path) -> str:
    return os.path.abspath(path)  # noqa: PTH100 - a Path of each of 100,000 files takes longer than all else here


def _stamp_of(path: Path) -> list[int]:
    """Size, times of the last change in nanoseconds, and number on the disk."""
    found = path.stat()
    return [found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino]


def _is_settled(stamp: list[int]) -> bool:
    """Whether a change after this look would be noticed."""
    _, modified, changed, _ = stamp
    return os.name == "posix" and max(modified, changed) < time.time_ns() - SETTLED_NS


def _as_line(sight: Sight) -> Line:
    look = sight.look
    numbers = (look.sharpness, look.brightness, look.contrast, look.pattern)
    return [sight.content, *sight.size_px, *numbers, look.colours.hex()]


def _as_sight(line: Line) -> Sight:
    content, width, height, sharpness, brightness, contrast, pattern, colours = line
    look = Look(float(sharpness), float(brightness), float(contrast), int(pattern), bytes.fromhex(str(colours)))
    return Sight(str(content), (int(width), int(height)), look)

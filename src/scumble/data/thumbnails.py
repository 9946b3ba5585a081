"""Thumbnails of the pictures that a page shows, kept by the content of their files."""

import base64
import threading
from io import BytesIO
from pathlib import Path

from PIL import Image

from scumble.data.ledger import Ledger, Line
from scumble.data.pictures import PictureRule, decode_small
from scumble.errors import DataError

VERSION = 1
"""Part of every key: raise it when thumbnails change."""

FOLDER = "thumbnails"
JPEG_QUALITY = 80


class Thumbnails:
    """JPEG files of one size, of the pictures of one folder.

    Args:
        cache: folder of the cache.
        folder: of the pictures.
        rule: how their files are read.
        side_px: longest side.
        first: so many are made of pictures as they are opened, because a page begins with them; the others when it asks.
    """

    def __init__(self, cache: Path, folder: Path, rule: PictureRule, side_px: int, first: int) -> None:
        key: Line = [VERSION, str(folder.resolve()), *rule.background, rule.first_frame, side_px]
        self._ledger = Ledger(cache / FOLDER, key)
        self._rule = rule
        self._side_px = side_px
        self._left = first
        self._lock = threading.Lock()

    def offer(self, content: str, image: Image.Image) -> None:
        """Make one of a picture that is open, if it is among the first; any thread may.

        Args:
            content: hash of its file.
            image: RGB, upright.
        """
        with self._lock:
            if self._left == 0:
                return
            self._left -= 1
        if self._ledger.get(content) is None:
            self._make(content, image)

    def of(self, path: Path, content: str) -> bytes:
        """The thumbnail of a picture; b"" where its file cannot be read any more.

        Args:
            path: its file.
            content: hash of the file.
        """
        kept = self._ledger.get(content)
        if kept is not None:
            return base64.b64decode(str(kept[0]))
        try:
            image, _ = decode_small(path, self._rule, self._side_px)
        except DataError:
            return b""
        return self._make(content, image)

    def write(self) -> None:
        """Keep those that were asked for.

        Raises:
            OSError: the cache cannot be written to.
        """
        self._ledger.write()

    def _make(self, content: str, image: Image.Image) -> bytes:
        small = image.copy()
        small.thumbnail((self._side_px, self._side_px), Image.Resampling.LANCZOS, reducing_gap=2.0)
        buffer = BytesIO()
        small.save(buffer, "JPEG", quality=JPEG_QUALITY)
        self._ledger.put(content, [base64.b64encode(buffer.getvalue()).decode()])
        return buffer.getvalue()

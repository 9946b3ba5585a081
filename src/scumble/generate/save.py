"""Putting pictures into a folder under names that never overwrite anything."""

import io
import os
import re
from pathlib import Path

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from scumble.errors import ConfigError, ScumbleError

_NUMBERED = re.compile(r"(\d{5,})-")


def check_folder(folder: Path) -> None:
    """Raise if pictures cannot go into a folder; it is not made yet.

    Raises:
        ConfigError: it is a file, or may not be written to.
    """
    place = folder.absolute()
    while not place.exists():
        place = place.parent
    if not place.is_dir():
        raise ConfigError(f"out={folder}: {place} is a file; give a folder")
    if not os.access(place, os.W_OK):
        raise ConfigError(f"out={folder}: {place} may not be written to; give another folder")


def save_new(folder: Path, name: str, image: Image.Image, texts: PngInfo) -> Path:
    """Write a picture as NUMBER-NAME.png, where the number is one more than the highest in the folder.

    The folder is made if it is not there.

    Raises:
        ScumbleError: the disk does not take it; no partial file is left.
    """
    folder.mkdir(parents=True, exist_ok=True)
    taken = [int(match[1]) for path in folder.iterdir() if (match := _NUMBERED.match(path.name))]
    number = max(taken, default=0) + 1
    while True:
        path = folder / f"{number:05}-{name}.png"
        try:
            file = path.open("xb")  # fails where another process was quicker
        except FileExistsError:
            number += 1
            continue
        break
    try:
        with file:
            file.write(png_bytes(image, texts))
    except OSError as error:
        path.unlink(missing_ok=True)
        raise ScumbleError(f"cannot write {path}: {error.strerror}") from error
    return path


def png_bytes(image: Image.Image, texts: PngInfo) -> bytes:
    """The picture as a PNG file with text fields."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG", pnginfo=texts)
    return buffer.getvalue()

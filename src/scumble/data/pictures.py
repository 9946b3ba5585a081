"""Reading one picture and cutting it to the size that training sees."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageFile, ImageOps
from PIL.ExifTags import Base
from torch import Tensor

from scumble.data.colours import inks_as_meant, mend_transparent_colour, opposite_is_meant, to_rgb
from scumble.data.picture_files import (
    DAMAGE,
    choose_frame,
    opened,
    refuse_missing_parts,
    refuse_size,
    refuse_wrong_checksums,
)
from scumble.errors import DataError

SUFFIXES = {".png", ".jpg", ".jpeg", ".jfif", ".webp", ".bmp", ".tif", ".tiff", ".gif"}
OTHER_PICTURES = {
    *(".apng", ".avif", ".avifs", ".dds", ".dib", ".eps", ".exr", ".hdr", ".heic", ".heics", ".heif", ".icns", ".ico"),
    *(".j2k", ".jp2", ".jpe", ".jpf", ".jpx", ".jxl", ".mpo", ".pbm", ".pcx", ".pfm", ".pgm", ".pnm", ".ppm", ".psb"),
    *(".psd", ".qoi", ".svg", ".tga", ".xcf"),
    *(".arw", ".cr2", ".cr3", ".dng", ".nef", ".orf", ".raf", ".rw2"),
}
"""Suffixes of pictures that are not read here; naming them helps more than calling them no pictures."""

TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""Orientation as EXIF says it -> what makes the picture upright."""

SIDEWAYS = {TURNS[orientation] for orientation in (5, 6, 7, 8)}
"""Turns that make the width the height."""


@dataclass(frozen=True)
class PictureRule:
    """What is done where a file leaves it open.

    Attributes:
        background: red, green and blue, 0..255, of what shows through transparency.
        first_frame: an animation gives its first frame, a file of several pages its first page; otherwise it is refused.
    """

    background: tuple[int, int, int] = (255, 255, 255)
    first_frame: bool = False


USUAL = PictureRule()


def read_picture(path: Path, rule: PictureRule = USUAL) -> Image.Image:
    """A picture file as upright 8-bit RGB.

    Turned as its EXIF says, if that can be read, 16-bit values scaled down, transparency laid over the background; colour profiles are not
    applied. Its format is that of its contents, whatever its name says.

    Raises:
        DataError: it is not a picture, damaged, of several frames or pages, or too large to be decoded safely.
    """
    try:
        return decode_picture(path, rule)
    except DataError as error:
        raise DataError(f"{path}: {error}") from None


def decode_picture(path: Path, rule: PictureRule = USUAL) -> Image.Image:
    """The same, for lists of files with a reason each.

    Raises:
        DataError: why it cannot be read, without its name.
    """
    with checked(path, rule.first_frame) as image:
        return _pixels_of(image, rule)


def decode_small(path: Path, rule: PictureRule, side_px: int) -> tuple[Image.Image, tuple[int, int]]:
    """The same for who needs no more than so many pixels a side, and the width and height of the whole.

    All bytes of the file are read and judged as ever, but of a JPEG that is twice as large or more only a half, a quarter
    or an eighth of the pixels are computed.

    Args:
        path: the file.
        rule: what is done where it leaves something open.
        side_px: what the longer side has at least, unless the picture is smaller.
    Raises:
        DataError: why it cannot be read, without its name.
    """
    with checked(path, rule.first_frame) as image:
        width, height = image.size
        if image.format == "JPEG" and max(width, height) >= 2 * side_px:
            share = side_px / max(width, height)
            image.draft(None, (max(1, int(width * share)), max(1, int(height * share))))
        pixels = _pixels_of(image, rule)
        return pixels, (height, width) if _turn_of(image) in SIDEWAYS else (width, height)


def _pixels_of(image: ImageFile.ImageFile, rule: PictureRule) -> Image.Image:
    """A picture that was opened, loaded: upright 8-bit RGB."""
    is_opposite = opposite_is_meant(image)
    image.load()
    rgb = to_rgb(upright(inks_as_meant(image)), rule.background)
    return ImageOps.invert(rgb) if is_opposite else rgb


@contextmanager
def checked(path: Path, first_frame: bool) -> Iterator[ImageFile.ImageFile]:
    """A picture file at the frame that is read, found to be safe and whole; its pixels are loaded in the block.

    Raises:
        DataError: why it cannot be read, without its name.
    """
    with opened(path) as image:
        choose_frame(image, first_frame)
        refuse_size(image, path.stat().st_size)
        refuse_missing_parts(image)
        refuse_wrong_checksums(path, image)
        mend_transparent_colour(image)
        yield image


def upright(image: Image.Image) -> Image.Image:
    """A loaded picture turned as its EXIF or XMP says; ImageOps.exif_transpose copies all others, and writes the EXIF anew."""
    turn = _turn_of(image)
    return image if turn is None else image.transpose(turn)


def _turn_of(image: Image.Image) -> Image.Transpose | None:
    try:
        return TURNS.get(image.getexif().get(Base.Orientation, 1))
    except DAMAGE:
        return None  # no viewer turns it either


def fit(image: Image.Image, size_px: tuple[int, int], place: tuple[float, float] = (0.5, 0.5)) -> Tensor:
    """A picture resized until it covers a size, and cut to it: float32 [3, height, width] in [-1, 1].

    Args:
        image: RGB.
        size_px: width and height.
        place: of what is kept, 0 = left or top, 1 = right or bottom; the middle if it is not said.
    """
    cut = ImageOps.fit(image, size_px, method=Image.Resampling.LANCZOS, centering=place)
    pixels_HWC = torch.from_numpy(np.array(cut))
    return pixels_HWC.permute(2, 0, 1).float() / 127.5 - 1

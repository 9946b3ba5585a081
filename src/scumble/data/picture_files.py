"""Opening picture files that come from anywhere: what is not read here is named, and no damage escapes as another error.

Pillow reads about fifty formats, some by starting other programs; here it is asked for those of `FORMATS` only.
"""

import stat
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image, ImageFile, UnidentifiedImageError
from PIL.TiffImagePlugin import TiffImageFile

from scumble.data.silence import SILENCE
from scumble.errors import DataError

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")
"""Formats of Pillow that are read, whatever a file's name says. JPEG is also what several pictures of a camera begin as."""

MAX_PIXELS = 100_000_000
MAX_PIXELS_PER_BYTE = 2_000
"""Photos have fewer than 100 pixels in a byte, drawings of a few lines some hundreds."""
MAX_EMPTY_PIXELS = 16_000_000
"""Pixels for which a file need hold nothing; without such a limit a few bytes could ask for hundreds of megabytes."""
MAX_JPEG_PIXELS_PER_BYTE = 512
"""A block of 8 x 8 takes a bit at least; Pillow paints those that are missing grey."""

DAMAGE = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    EOFError,
    LookupError,
    AttributeError,
    ArithmeticError,
    AssertionError,
    RuntimeError,
    MemoryError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)
"""What Pillow's readers raise over damaged bytes: whatever the line of Python raises that met them first."""

FOREIGN = (
    (4, b"ftypavi", "an AVIF picture"),
    (4, b"ftyphe", "a HEIC picture"),
    (4, b"ftypmif1", "a HEIF picture"),
    (4, b"ftypmsf1", "a HEIF picture"),
    (0, b"\0\0\0\x0cJXL ", "a JPEG XL picture"),
    (0, b"\xff\x0a", "a JPEG XL picture"),
    (0, b"\0\0\0\x0cjP  ", "a JPEG 2000 picture"),
    (0, b"\xff\x4f\xff\x51", "a JPEG 2000 picture"),
    (0, b"\0\0\1\0", "an icon"),
    (0, b"8BPS", "a Photoshop document"),
    (0, b"%PDF", "a PDF document"),
    (0, b"%!PS", "a PostScript document"),
    *((0, beginning, "a web page") for beginning in (b"<!DOCTYPE", b"<!doctype", b"<html", b"<HTML", b"<head")),
    *((0, beginning, "a drawing in SVG or another text") for beginning in (b"<svg", b"<?xml")),
)
"""Where in a file, what stands there, and what such a file is, of those that are often called .jpg or .png."""

NEW_SUBFILE_TYPE, REDUCED, MASK = 254, 1, 4
"""A tag of TIFF, and the bits of it that say a page is a preview, or which part of another page counts."""


@contextmanager
def opened(path: Path) -> Iterator[ImageFile.ImageFile]:
    """A picture file whose header was read, and whose pixels are read in the block.

    Raises:
        DataError: why it cannot be read, without its name; what Pillow raises in the block is turned into it too.
    """
    with SILENCE:
        try:
            _refuse_what_is_no_file(path)
            with _open(path) as image:
                yield image
        except DAMAGE as error:
            raise DataError(_why(error)) from None


def refuse_size(image: Image.Image, num_bytes: int) -> None:
    """Raise for more pixels than are decoded safely, before they are.

    Args:
        image: of which the header was read.
        num_bytes: of its file.
    Raises:
        DataError: it is too large, or too large for its file.
    """
    pixels, found = image.width * image.height, f"{image.width} x {image.height} pixels"
    if pixels > MAX_PIXELS:
        raise DataError(f"{found}, more than {MAX_PIXELS // 1_000_000} million")
    if pixels > MAX_EMPTY_PIXELS and pixels > MAX_PIXELS_PER_BYTE * num_bytes:
        raise DataError(f"{found} in {num_bytes:,} bytes: damaged, or of one colour")
    is_jpeg = image.format in {"JPEG", "MPO"} or image.info.get("compression") == "jpeg"
    if is_jpeg and pixels > MAX_JPEG_PIXELS_PER_BYTE * num_bytes:
        raise DataError(f"{found} in {num_bytes:,} bytes: damaged")


def choose_frame(image: Image.Image, first_frame: bool) -> None:
    """Go to the frame or page that is read, before anything is decoded.

    Args:
        image: of which the header was read.
        first_frame: whether the first one is taken where there are several.
    Raises:
        DataError: there are several, and none was chosen.
    """
    if image.format == "MPO" or getattr(image, "n_frames", 1) == 1:
        return  # what a camera adds to its photo is no frame: a preview, the depth, a second eye
    if isinstance(image, TiffImageFile):
        pages = [index for index in range(image.n_frames) if not _is_extra(image, index)]
        image.seek(pages[0] if pages else 0)
        if len(pages) < 2:
            return
    if not first_frame:
        what, one = ("several pages", "page") if image.format == "TIFF" else ("an animation", "frame")
        raise DataError(f"{what}: save the {one} you want as a picture, or take --first-frame")


def _is_extra(image: TiffImageFile, index: int) -> bool:
    """Whether a page is a preview or a mask of another."""
    image.seek(index)
    return bool(image.tag_v2.get(NEW_SUBFILE_TYPE, 0) & (REDUCED | MASK))


def refuse_missing_parts(image: ImageFile.ImageFile) -> None:
    """Raise where a file says that it holds less than its size needs: Pillow would leave the rest black.

    Raises:
        DataError: something is missing.
    """
    extents = [tile[1] for tile in image.tile if tile[1] is not None]
    if extents and image.format != "GIF":  # in which a frame may be smaller than the canvas
        width, height = max(extent[2] for extent in extents), max(extent[3] for extent in extents)
        if width * height < image.width * image.height:  # the sides may be those of the picture before it is turned
            raise DataError(f"{image.width} x {image.height} pixels, of which it holds {width} x {height}: damaged")


def refuse_wrong_checksums(path: Path, image: Image.Image) -> None:
    """Raise where a checksum of a PNG is wrong; Pillow looks at those of the pixels only if it is asked to.

    Raises:
        DataError, or what Pillow raises: one is wrong.
    """
    if image.format == "PNG":
        with _open(path) as again:  # what was verified cannot be loaded
            again.verify()


def _open(path: Path) -> ImageFile.ImageFile:
    try:
        return Image.open(path, formats=FORMATS)
    except UnidentifiedImageError:
        raise DataError(_what_else(path)) from None


def _refuse_what_is_no_file(path: Path) -> None:
    found = path.stat()
    if stat.S_ISDIR(found.st_mode):
        raise DataError("a folder, not a picture")
    if not stat.S_ISREG(found.st_mode):
        raise DataError("a pipe or device, not a picture")  # opening it might wait for ever
    if found.st_size == 0:
        raise DataError("empty file")


def _what_else(path: Path) -> str:
    """What a file is in which no format was recognised."""
    with path.open("rb") as file:
        beginning = file.read(32).lstrip(b"\xef\xbb\xbf \t\r\n")
    for offset, signature, what in FOREIGN:
        if beginning[offset:].startswith(signature):
            return f"{what}, whatever its name: save it as PNG or JPEG"
    return "not a picture that can be read"


def _why(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"cannot be read: {error.strerror}"
    if isinstance(error, MemoryError):
        return "cannot be decoded: there is not enough memory for it"
    if isinstance(error, Image.DecompressionBombError):
        return f"more than {MAX_PIXELS // 1_000_000} million pixels"
    if isinstance(error, LookupError | AttributeError | AssertionError | struct.error) or not str(error):
        return "cannot be decoded: damaged"  # such errors are about the code that met the damage
    return f"cannot be decoded: {error}"

"""From whatever a picture's values are to 8-bit RGB, some rows at a time: little more than source and result is in memory."""

from collections.abc import Callable, Iterator

import numpy as np
from PIL import Image, ImageFile
from PIL.TiffImagePlugin import TiffImageFile

from scumble.errors import DataError

Colour = tuple[int, int, int]

WITH_ALPHA = frozenset({"RGBA", "LA", "PA", "La", "RGBa"})
STRIP_PIXELS = 2**18
HIGHEST = 65535.0
PHOTOMETRIC, WHITE_IS_ZERO = 262, 0
"""A tag of TIFF, and what it says of greys that are written as their opposite."""


def opposite_is_meant(image: Image.Image) -> bool:
    """Whether an opened picture's greys are written as their opposite and Pillow, which knows it of 8 bits, leaves them so."""
    is_said = isinstance(image, TiffImageFile) and image.tag_v2.get(PHOTOMETRIC) == WHITE_IS_ZERO
    return is_said and _is_deep(image.mode)


def mend_transparent_colour(image: ImageFile.ImageFile) -> None:
    """Bring the transparent colour of a PNG, not loaded yet, to the 8 bits that its pixels will have.

    Pillow spreads greys of 2 and 4 bits and keeps the upper half of 16-bit colours, but leaves this one as it is written.
    """
    colour = image.info.get("transparency")
    if image.format != "PNG" or colour is None or not image.tile:
        return
    raw_mode = image.tile[0][3]
    if raw_mode in {"L;2", "L;4"}:
        image.info["transparency"] = colour * 255 // (2 ** int(raw_mode[2:]) - 1)
    elif raw_mode == "RGB;16B":
        image.info["transparency"] = tuple(value >> 8 for value in colour)


def inks_as_meant(image: ImageFile.ImageFile) -> Image.Image:
    """A loaded picture; printing colours of a JPEG that does not say it is Adobe's are turned, because Pillow takes all for Adobe's."""
    if image.format == "JPEG" and image.mode == "CMYK" and "adobe" not in image.info:
        return image.point([255 - value for value in range(256)] * 4)
    return image


def to_rgb(image: Image.Image, background: Colour) -> Image.Image:
    """A loaded picture as 8-bit RGB; the same object where it is that already.

    Values of more bits are scaled down, transparency is laid over the background.

    Raises:
        DataError: values that are not finite, or too high for 16 bits.
        ValueError: colours that Pillow does not convert.
    """
    if _is_deep(image.mode):
        white = _white(image)
        return _in_strips(image, lambda strip: _scaled(strip, white, background))
    if "transparency" in image.info or image.mode in WITH_ALPHA:
        return _in_strips(image, lambda strip: _laid_over(strip, background))
    return image if image.mode == "RGB" else image.convert("RGB")


def _is_deep(mode: str) -> bool:
    return mode.startswith("I;16") or mode in {"I", "F"}


def _strips(image: Image.Image) -> Iterator[tuple[int, Image.Image]]:
    """The row at which each strip begins, and the strip."""
    rows = max(1, STRIP_PIXELS // image.width)
    for top in range(0, image.height, rows):
        yield top, image.crop((0, top, image.width, min(top + rows, image.height)))


def _in_strips(image: Image.Image, change: Callable[[Image.Image], Image.Image]) -> Image.Image:
    rgb = Image.new("RGB", image.size)
    for top, strip in _strips(image):
        rgb.paste(change(strip), (0, top))
    return rgb


def _laid_over(strip: Image.Image, background: Colour) -> Image.Image:
    paper = Image.new("RGBA", strip.size, (*background, 255))
    return Image.alpha_composite(paper, strip.convert("RGBA")).convert("RGB")


def _scaled(strip: Image.Image, white: float, background: Colour) -> Image.Image:
    # Pillow's own conversion clips at 255 instead of scaling
    values = np.asarray(strip).astype(np.float64)
    rgb = Image.fromarray((values / white * 255).round().clip(0, 255).astype(np.uint8)).convert("RGB")
    transparent = strip.info.get("transparency")
    if transparent is not None:
        rgb.paste(background, mask=Image.fromarray(values == transparent))
    return rgb


def _white(image: Image.Image) -> float:
    """The value that is white: a 16-bit mode says so itself, 32-bit ones hold 8 bits, 16 bits, or reals up to 1."""
    if image.mode.startswith("I;16"):
        return HIGHEST
    highest = 0.0
    for _, strip in _strips(image):
        values = np.asarray(strip)
        if not np.isfinite(values).all():
            raise DataError("has values that are not finite")
        highest = max(highest, float(values.max()))
    if highest > HIGHEST:
        raise DataError(f"has values up to {highest:g}, where 65535 is the highest that is read: save it with 16 bits")
    if image.mode == "F" and highest < 2:
        return 1.0  # a little above 1 is brighter than white; of 255 nothing would be to be seen
    return HIGHEST if highest > 255 else 255.0

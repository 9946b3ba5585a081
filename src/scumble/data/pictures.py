"""Reading one picture and cutting it to the size that training sees."""

import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from scumble.errors import DataError

SUFFIXES = {".png", ".jpg", ".jpeg", ".jfif", ".webp", ".bmp", ".tif", ".tiff", ".gif"}
OTHER_PICTURES = {
    ".avif",
    ".heic",
    ".heif",
    ".jxl",
    ".psd",
    ".svg",
    ".tga",
    ".cr2",
    ".cr3",
    ".nef",
    ".arw",
    ".dng",
}
"""Suffixes of pictures that are not read here; naming them helps more than calling them no pictures."""

MAX_PIXELS = 100_000_000
ANIMATED = {"GIF", "WEBP", "PNG"}
"""Formats of Pillow in which several frames are an animation; in the others they are pages, of which the first counts."""


@dataclass(frozen=True)
class PictureRule:
    """What is done where a file leaves it open.

    Attributes:
        background: red, green and blue, 0..255, of what shows through transparency.
        first_frame: an animation gives its first frame; otherwise it is refused.
    """

    background: tuple[int, int, int] = (255, 255, 255)
    first_frame: bool = False


USUAL = PictureRule()


def read_picture(path: Path, rule: PictureRule = USUAL) -> Image.Image:
    """A picture file as upright 8-bit RGB.

    Turned as its EXIF says, 16-bit values scaled down, transparency laid over the background.

    Raises:
        DataError: not a picture, damaged, animated, or too large to be decoded safely.
    """
    try:
        with (
            warnings.catch_warnings(category=Image.DecompressionBombWarning, action="ignore"),
            Image.open(path) as image,
        ):
            # Pillow's warning at a smaller size is answered by our own limit
            if image.width * image.height > MAX_PIXELS:
                raise DataError(f"{image.width} x {image.height} pixels, more than {MAX_PIXELS // 1_000_000} million")
            if getattr(image, "n_frames", 1) > 1 and image.format in ANIMATED and not rule.first_frame:
                raise DataError("an animation: save the frame you want as a picture, or take --first-frame")
            image.load()
            return _to_rgb(ImageOps.exif_transpose(image), rule.background)
    except UnidentifiedImageError:
        raise DataError("empty file" if path.stat().st_size == 0 else "not a picture that can be read") from None
    # Pillow's TIFF reader answers some damage with a TypeError
    except (OSError, SyntaxError, ValueError, TypeError, EOFError, Image.DecompressionBombError) as error:
        raise DataError(f"cannot be decoded: {error}") from None


def _to_rgb(image: Image.Image, background: tuple[int, int, int]) -> Image.Image:
    if image.mode.startswith("I;16") or image.mode in {"I", "F"}:
        # Pillow's own conversion clips at 255 instead of scaling
        values = np.asarray(image).astype(np.float64)
        return Image.fromarray(
            (values / _white(image.mode, values) * 255).round().clip(0, 255).astype(np.uint8)
        ).convert("RGB")
    if "transparency" in image.info or image.mode in {"RGBA", "LA", "PA", "La", "RGBa"}:
        layer = image.convert("RGBA")
        paper = Image.new("RGBA", layer.size, (*background, 255))
        return Image.alpha_composite(paper, layer).convert("RGB")
    return image.convert("RGB")


def _white(mode: str, values: NDArray[np.float64]) -> float:
    """The value that is white: a 16-bit mode says so itself, 32-bit ones hold 8 bits, 16 bits, or reals up to 1."""
    if not np.isfinite(values).all():
        raise DataError("has values that are not finite")
    highest = values.max(initial=0)
    if mode == "F" and highest <= 1:
        return 1.0
    return 65535.0 if mode.startswith("I;16") or highest > 255 else 255.0


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

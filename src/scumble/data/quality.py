"""What one look at a decoded picture tells: how sharp, bright and even it is, its pattern, and what to think of that."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

LOOK_PX = 512
"""Longest side of what is looked at: blur that is gone at this size does not harm training at the usual ones."""

LOWEST_SHARPNESS = 0.005
"""A Gaussian blur of 1.5 pixels in a picture of 512 brings photos below it; photos in focus are above 0.1."""

LOWEST_CONTRAST = 3.0
"""Standard deviation of the greys, of 255: below it nothing is to be seen."""

DARKEST, BRIGHTEST = 16.0, 248.0
"""Mean grey, of 255, outside which hardly anything is to be seen."""

MOST_ELONGATED = 2.0
"""Long side to short side from which much of a picture falls off."""

FIELDS = 4
COLOURS = 3 * FIELDS**2
"""Numbers that tell the colours of a picture: red, green and blue of 4 x 4 fields."""

PATTERN_PX = 32
COSINES = 2 * np.cos(np.pi * np.outer(np.arange(8), 2 * np.arange(PATTERN_PX) + 1) / (2 * PATTERN_PX))
"""The eight lowest waves of the cosine transform, [8, 32]."""

HintKind = Literal["small", "elongated", "blurred", "uniform", "dark", "bright"]


@dataclass(frozen=True)
class Look:
    """What is kept of a decoded picture.

    Attributes:
        sharpness: variance of the Laplacian over the variance of the greys, both of the picture at `LOOK_PX`.
        brightness: mean grey, 0..255.
        contrast: standard deviation of the greys.
        pattern: the 64 bits of its perceptual hash, which knows greys only.
        colours: red, green and blue of 4 x 4 fields, 48 bytes.
    """

    sharpness: float
    brightness: float
    contrast: float
    pattern: int
    colours: bytes

    @property
    def is_uniform(self) -> bool:
        """Whether nothing is to be seen, so that the pattern means nothing either."""
        return self.contrast < LOWEST_CONTRAST


@dataclass(frozen=True)
class Hint:
    """A reason to look at a picture again."""

    kind: HintKind
    text: str


def look_at(image: Image.Image) -> Look:
    """Look at a picture.

    Args:
        image: RGB, upright; not changed.
    """
    # greys first: a third of the work, and box filtering is three times as fast as Lanczos, and as sharp
    grey = _within(image.convert("L"), LOOK_PX, Image.Resampling.BOX)
    levels, counts = np.arange(256.0), np.array(grey.histogram())
    brightness = float(counts @ levels) / counts.sum()
    variance = float(counts @ (levels - brightness) ** 2) / counts.sum()
    edges = _laplacian(np.asarray(grey))
    sharpness = (float(edges @ edges) / len(edges) - float(edges.mean()) ** 2) / max(variance, 1.0)
    colours = image.resize((FIELDS, FIELDS), Image.Resampling.BOX, reducing_gap=2.0).tobytes()
    return Look(sharpness, float(brightness), float(variance**0.5), _pattern(grey), colours)


def hints_on(look: Look, size_px: tuple[int, int], target_px: tuple[int, int], resolution: int) -> list[Hint]:
    """What makes a picture less good to learn from.

    Args:
        look: at the picture.
        size_px: its width and height.
        target_px: width and height of what is trained on: the picture is resized to cover it, and cropped.
        resolution: side of the square whose area training sees.
    """
    enlarged = max(target / size for target, size in zip(target_px, size_px, strict=True))
    lost = 1 - (target_px[0] * target_px[1]) / (size_px[0] * size_px[1] * enlarged**2)
    ratio = max(size_px) / min(size_px)
    width, height = size_px
    is_less = width * height < resolution**2
    found = [
        (enlarged > 1, Hint("small", f"{width} x {height} px is enlarged {enlarged:.3g} times")),
        (enlarged <= 1 and is_less, Hint("small", f"{width} x {height} px is less than {resolution} x {resolution}")),
        (ratio >= MOST_ELONGATED, Hint("elongated", f"{ratio:.1f} to 1: {100 * lost:.0f} % is cut off")),
        (look.is_uniform, Hint("uniform", "nearly one colour")),
        (not look.is_uniform and look.sharpness < LOWEST_SHARPNESS, Hint("blurred", "looks blurred")),
        (look.brightness < DARKEST, Hint("dark", "nearly black")),
        (look.brightness > BRIGHTEST, Hint("bright", "nearly white")),
    ]
    return [hint for is_so, hint in found if is_so]


def _within(image: Image.Image, side_px: int, method: Image.Resampling) -> Image.Image:
    """The picture with no side longer than that, never enlarged."""
    scale = side_px / max(image.size)
    if scale >= 1:
        return image
    size_px = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.resize(size_px, method, reducing_gap=2.0)


def _laplacian(greys: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Four times each inner value less its neighbours, in one row; a single 0 where there is none."""
    if min(greys.shape) < 3:
        return np.zeros(1, np.float32)
    width = greys.shape[1]
    line = greys.astype(np.int16).ravel()  # one line is a third faster than rows; what wraps around is cut off
    edges = line[width:-width] * 4
    edges -= line[: -2 * width]
    edges -= line[2 * width :]
    edges -= line[width - 1 : -width - 1]
    edges[:-1] -= line[width + 1 : -width]
    return edges.reshape(-1, width)[:, 1:-1].astype(np.float32).ravel()


def _pattern(grey: Image.Image) -> int:
    """Signs of the 64 lowest frequencies of the cosine transform against their median, as ImageHash's `phash`."""
    small = grey.resize((PATTERN_PX, PATTERN_PX), Image.Resampling.LANCZOS, reducing_gap=3.0)
    lowest = COSINES @ np.asarray(small, np.float64) @ COSINES.T
    return int.from_bytes(np.packbits(lowest > np.median(lowest)).tobytes(), "big")

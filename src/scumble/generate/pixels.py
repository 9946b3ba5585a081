"""Pixels told apart by their hash, and how far two pictures are from each other."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image


def pixel_hash(image: Image.Image) -> str:
    """SHA-256 in hex of a picture's size and its pixels as 8-bit RGB: the same in whatever file format without loss."""
    digest = hashlib.sha256(f"{image.width}x{image.height} RGB ".encode())
    digest.update(image.convert("RGB").tobytes())
    return digest.hexdigest()


@dataclass(frozen=True)
class Difference:
    """How far two pictures of one size are from each other, in steps of 8-bit colour, 0..255.

    Attributes:
        largest: of any channel of any pixel.
        mean: over all channels of all pixels.
        share: of the pixels that differ at all, 0..1.
    """

    largest: int
    mean: float
    share: float


def difference(image: Image.Image, other: Image.Image) -> Difference:
    """How far two RGB pictures of one size are from each other."""
    import numpy as np

    apart = np.abs(np.asarray(image, dtype=int) - np.asarray(other, dtype=int))
    return Difference(int(apart.max()), float(apart.mean()), float(apart.any(axis=-1).mean()))

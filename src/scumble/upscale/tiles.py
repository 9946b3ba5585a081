"""A picture enlarged in overlapping tiles: as much memory as one tile takes, and no seams.

Of what two neighbours share, the outer parts of each are context that is not seen, and between them one goes over into the
other. A model that looks no farther than the context gives the same picture as without tiles.
"""

import math
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from scumble.device import is_out_of_memory, release_memory
from scumble.errors import OutOfMemoryError
from scumble.upscale.model import Upscaler

SMALLEST_TILES = 2
"""A tile is at least this many times as wide as what it shares with a neighbour."""


@dataclass(frozen=True)
class Tiling:
    """How a picture is cut.

    Attributes:
        tile_px: side of a tile, in pixels of what is enlarged.
        overlap_px: how much neighbours share at least.
        blend: the share of that in which one goes over into the other, 0..1; the rest is context.
    """

    tile_px: int
    overlap_px: int
    blend: float = 0.25

    @property
    def band_px(self) -> int:
        """How wide the place is where both neighbours are seen."""
        return int(self.overlap_px * self.blend)

    @property
    def is_smallest(self) -> bool:
        """Whether half of it would be less than a tile."""
        return self.tile_px // 2 < SMALLEST_TILES * self.overlap_px

    def halved(self) -> "Tiling":
        """Tiles of half the side."""
        return replace(self, tile_px=self.tile_px // 2)


@dataclass(frozen=True)
class Tiled:
    """A tile is done; `done` counts from 1 to `total`."""

    done: int
    total: int


@dataclass(frozen=True)
class Retiled:
    """The device ran out of memory, and the picture is begun again with tiles of `tile_px`."""

    tile_px: int


def enlarge(
    upscaler: Upscaler, image: Image.Image, tiling: Tiling
) -> Generator[Tiled | Retiled, None, tuple[Image.Image, Tiling]]:
    """Enlarge a picture by the model's own scale.

    Args:
        upscaler: the model.
        image: RGB.
        tiling: how it is cut; a picture that is no larger than a tile is not.
    Returns:
        The larger picture, and the tiles that the memory was enough for.
    Raises:
        OutOfMemoryError: it is not even enough for the smallest ones.
    """
    while True:
        try:
            larger = yield from _enlarge(upscaler, image, tiling)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            if tiling.is_smallest:
                raise OutOfMemoryError(
                    f"not enough memory on {upscaler.device} for tiles of {tiling.tile_px} px by {upscaler.name}; close "
                    "other programs, or take --device cpu or a smaller model"
                ) from error
            tiling = tiling.halved()
        else:
            return larger, tiling
        release_memory(upscaler.device)
        yield Retiled(tiling.tile_px)


def _enlarge(upscaler: Upscaler, image: Image.Image, tiling: Tiling) -> Generator[Tiled, None, Image.Image]:
    return assemble(image, tiling, upscaler.scale, lambda tile: _to_image(upscaler(_to_pixels(tile))))


def assemble(
    image: Image.Image, tiling: Tiling, scale: int, draw: Callable[[Image.Image], Image.Image]
) -> Generator[Tiled, None, Image.Image]:
    """Tiles side by side become a strip, strips one below the other the picture: each is laid over what lies before it.

    Args:
        image: RGB, which is cut.
        tiling: how.
        scale: how many times wider and higher `draw` makes a tile.
        draw: makes a tile of the result of one of the image.
    """
    width_px, height_px = (min(tiling.tile_px, side) for side in image.size)
    lefts, tops = (starts(side, tiling) for side in image.size)
    result = Image.new("RGB", (scale * image.width, scale * image.height))
    for row, top in enumerate(tops):
        strip = Image.new("RGB", (result.width, scale * height_px))
        for column, left in enumerate(lefts):
            tile = draw(image.crop((left, top, left + width_px, top + height_px)))
            shares = ramp(lefts, column, width_px, tiling, scale)
            strip.paste(tile, (scale * left, 0), _mask(shares[None, :], tile))
            yield Tiled(row * len(lefts) + column + 1, len(tops) * len(lefts))
        shares = ramp(tops, row, height_px, tiling, scale)
        result.paste(strip, (0, scale * top), _mask(shares[:, None], strip))
    return result


def starts(side_px: int, tiling: Tiling) -> list[int]:
    """Where tiles begin along a side: evenly spread, sharing the overlap or more."""
    if side_px <= tiling.tile_px:
        return [0]
    count = math.ceil((side_px - tiling.overlap_px) / (tiling.tile_px - tiling.overlap_px))
    return [round(index * (side_px - tiling.tile_px) / (count - 1)) for index in range(count)]


def ramp(begins: Sequence[int], index: int, tile_px: int, tiling: Tiling, scale: int) -> np.ndarray:
    """How much of a tile is seen along a side over the tiles before it: float64 [scale * tile_px] in [0, 1].

    It only rises: from context, through the band in which both are seen, to itself alone; the tile after
    it is laid over its end.
    """
    if index == 0:
        return np.ones(scale * tile_px)
    shared_px = begins[index - 1] + tile_px - begins[index]
    band_px = max(1, tiling.band_px)
    places_px = (np.arange(scale * tile_px) + 0.5) / scale
    shares: np.ndarray = ((places_px - (shared_px - band_px) / 2) / band_px).clip(0, 1)
    return shares


def _mask(shares: np.ndarray, image: Image.Image) -> Image.Image:
    """Shares along one side, for all of an image."""
    values = (shares * 255).round().astype(np.uint8)
    return Image.fromarray(np.broadcast_to(values, (image.height, image.width)).copy())


def _to_pixels(image: Image.Image) -> Tensor:
    """RGB as float32 [1, 3, height, width] in [0, 1]."""
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float() / 255


def _to_image(pixels_BCHW: Tensor) -> Image.Image:
    values = (pixels_BCHW[0].permute(1, 2, 0) * 255).round().clamp(0, 255).to(torch.uint8)
    return Image.fromarray(values.numpy())

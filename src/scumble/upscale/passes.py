"""A picture brought to an exact size: by a model as often as it takes, and by interpolation from there."""

from collections.abc import Generator, Sequence
from dataclasses import dataclass

from PIL import Image

from scumble.upscale.model import Upscaler
from scumble.upscale.picture import Original
from scumble.upscale.size import Size, num_passes
from scumble.upscale.tiles import Retiled, Tiled, Tiling, enlarge

Progress = Generator[float | Retiled, None, "Larger"]


@dataclass(frozen=True)
class Larger:
    """A picture at its new size.

    Attributes:
        rgb: its colours.
        alpha: its transparency, if it has one.
        passes: how often a model enlarged it; 0 = by interpolation alone.
        tiling: the tiles that it was cut into last; None = without a model.
    """

    rgb: Image.Image
    alpha: Image.Image | None
    passes: int = 0
    tiling: Tiling | None = None


def interpolated(image: Image.Image, size: Size) -> Image.Image:
    """A picture at a size, by Lanczos; the same object where it has that size."""
    return image if image.size == size else image.resize(size, Image.Resampling.LANCZOS)


def interpolate(original: Original, size: Size) -> Larger:
    """A picture and its transparency at a size, by Lanczos alone."""
    alpha = None if original.alpha is None else interpolated(original.alpha, size)
    return Larger(interpolated(original.rgb, size), alpha)


def enlarge_to(upscaler: Upscaler, original: Original, size: Size, tiling: Tiling) -> Progress:
    """A picture at a size that is larger, by a model; its transparency apart, as if it were a gray picture.

    Yields:
        The share of the work that is done, 0..1; `Retiled` where the memory was not enough.
    Raises:
        DataError: the size is not larger, or too large.
        OutOfMemoryError: the memory is not enough for the smallest tiles.
    """
    passes = num_passes(original.rgb.size, size, upscaler.scale)
    alpha = original.alpha
    is_even = alpha is not None and len(set(alpha.getextrema())) == 1
    layers = [original.rgb] if alpha is None or is_even else [original.rgb, alpha.convert("RGB")]
    work = [upscaler.scale ** (2 * done) for _ in layers for done in range(passes)]
    results: list[Image.Image] = []
    index = 0
    for larger in layers:
        for _ in range(passes):
            larger, tiling = yield from _shares(enlarge(upscaler, larger, tiling), work, index)
            index += 1
        results.append(interpolated(larger, size))
    if alpha is not None:
        alpha = interpolated(alpha, size) if is_even else results[1].convert("L")
    return Larger(results[0], alpha, passes, tiling)


def _shares(
    tiles: Generator[Tiled | Retiled, None, tuple[Image.Image, Tiling]], work: Sequence[int], index: int
) -> Generator[float | Retiled, None, tuple[Image.Image, Tiling]]:
    """The tiles of pass number `index` as shares of the whole work."""
    before, whole = sum(work[:index]), sum(work)
    while True:
        try:
            event = next(tiles)
        except StopIteration as end:
            result: tuple[Image.Image, Tiling] = end.value
            return result
        yield event if isinstance(event, Retiled) else (before + work[index] * event.done / event.total) / whole

"""Sizes that pictures are cut to: several shapes of about the same area, so that little is cut off.

Aspect-ratio buckets as in NovelAI 2022, "Aspect Ratio Bucketing", and kohya's scripts. Sizes are (width, height) in pixels.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

Size = tuple[int, int]

USUAL_STEP = 64
STEPS_OF_A_SIDE = 8
"""Where the resolution is small, so are the steps: an eighth of it."""

MOST_ELONGATED = 2.0
"""Longest side of a bucket by the resolution."""


@dataclass(frozen=True)
class BucketRule:
    """How the size of a picture's cut is chosen.

    Attributes:
        resolution: side of a square with the largest area.
        step: of the sides.
        is_on: several shapes; otherwise every picture is cut to the square.
        may_enlarge: a picture that is smaller than its bucket is enlarged; otherwise it is cut to its bucket as far as
            it reaches, in whole steps, and enlarged only where a side is shorter than one step.
    """

    resolution: int
    step: int
    is_on: bool = True
    may_enlarge: bool = False

    def sizes(self) -> list[Size]:
        """All buckets; see `bucket_sizes`."""
        return bucket_sizes(self.resolution, self.step) if self.is_on else [(self.resolution, self.resolution)]

    def size_for(self, size_px: Size) -> Size:
        """What a picture of this size is cut to."""
        return _size_for(self, size_px)


@cache
def _size_for(rule: BucketRule, size_px: Size) -> Size:
    """Many pictures are of the same size."""
    nearest = nearest_bucket(size_px, rule.sizes())
    if not rule.is_on or rule.may_enlarge:
        return nearest
    width, height = (
        min(target, max(rule.step, side // rule.step * rule.step))
        for target, side in zip(nearest, size_px, strict=True)
    )
    return width, height


def usual_step(resolution: int, unit: int) -> int:
    """The step of the sides where none is asked for: 64, or less where the resolution is small.

    Args:
        resolution: side of the square.
        unit: pixels of a latent; the step is a multiple of it.
    """
    return max(unit, min(USUAL_STEP, resolution // STEPS_OF_A_SIDE) // unit * unit)


def bucket_sizes(resolution: int, step: int) -> list[Size]:
    """Sizes of at most the square's area, a side of whole steps each, from upright to wide.

    Args:
        resolution: side of the square.
        step: of the sides.
    """
    longest = int(resolution * MOST_ELONGATED)
    wide = {
        (width, resolution * resolution // width // step * step)
        for width in range(-(-resolution // step) * step, longest + 1, step)
    }
    wide = {size for size in wide if size[1] >= max(step, resolution / MOST_ELONGATED)}
    both = wide | {(height, width) for width, height in wide} | {(resolution, resolution)}
    return sorted(both, key=lambda size: (size[0] / size[1], size))


def nearest_bucket(size_px: Size, buckets: Sequence[Size]) -> Size:
    """The bucket whose aspect ratio is nearest by ratio; of equals, the one of the larger area."""

    def apart(bucket: Size) -> float:
        return abs(math.log(bucket[0] * size_px[1] / (bucket[1] * size_px[0])))

    return min(buckets, key=lambda bucket: (round(apart(bucket), 9), -bucket[0] * bucket[1]))


def enlargement(size_px: Size, bucket: Size) -> float:
    """By how much a picture has to be enlarged to cover a bucket; below 1 it is made smaller."""
    return max(target / side for target, side in zip(bucket, size_px, strict=True))

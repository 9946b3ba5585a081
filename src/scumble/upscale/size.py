"""How large a picture becomes, and how often a model has to enlarge it for that."""

import math
from dataclasses import dataclass

from scumble.data.picture_files import MAX_PIXELS
from scumble.errors import DataError

Size = tuple[int, int]
"""Width and height in pixels."""

MOST_PIXELS = 4 * MAX_PIXELS


@dataclass(frozen=True)
class Wanted:
    """What was asked for: a factor, or one side or both; nothing = the model's own factor.

    Attributes:
        scale: times wider and higher.
        width: in pixels.
        height: in pixels.
    """

    scale: float | None = None
    width: int | None = None
    height: int | None = None

    def of(self, size: Size, own_scale: int = 1) -> Size:
        """The size of the result.

        Args:
            size: of the picture.
            own_scale: what is taken where nothing was asked for.
        Raises:
            DataError: both sides were asked for, in another proportion; or it is too large.
        """
        width, height = size
        if self.width is not None and self.height is not None:
            result = (self.width, self.height)
            _refuse_stretching(size, result)
        elif self.width is not None:
            result = (self.width, max(1, round(height * self.width / width)))
        elif self.height is not None:
            result = (max(1, round(width * self.height / height)), self.height)
        else:
            factor = self.scale or own_scale
            result = (max(1, round(width * factor)), max(1, round(height * factor)))
        _refuse_too_many_pixels(result)
        return result


def num_passes(size: Size, wanted: Size, scale: int) -> int:
    """How often a model enlarges a picture until no side is smaller than wanted.

    Raises:
        DataError: the picture is that large already, or becomes too large on the way.
    """
    factor = max(wanted[0] / size[0], wanted[1] / size[1])
    if factor <= 1:
        raise DataError(
            f"{size[0]} x {size[1]} is to become {wanted[0]} x {wanted[1]}, which no model has to enlarge: "
            "'scumble resize-pictures' makes it so"
        )
    passes = max(1, math.ceil(round(math.log(factor, scale), 9)))
    _refuse_too_many_pixels((size[0] * scale**passes, size[1] * scale**passes))
    return passes


def _refuse_stretching(size: Size, wanted: Size) -> None:
    """A side may be as far from its share as rounding to whole pixels can bring it."""
    height = size[1] * wanted[0] / size[0]
    width = size[0] * wanted[1] / size[1]
    if abs(height - wanted[1]) > 1 and abs(width - wanted[0]) > 1:
        raise DataError(
            f"{size[0]} x {size[1]} would be stretched to {wanted[0]} x {wanted[1]}: give only --width, for "
            f"{wanted[0]} x {round(height)}, or only --height, for {round(width)} x {wanted[1]}"
        )


def _refuse_too_many_pixels(size: Size) -> None:
    if size[0] * size[1] > MOST_PIXELS:
        raise DataError(
            f"it would be {size[0]} x {size[1]} pixels on the way, more than {MOST_PIXELS // 10**6} million"
        )

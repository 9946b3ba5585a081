"""How a cost grows with a size: the power that fits measured points."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

Point = tuple[float, float]


@dataclass(frozen=True)
class Fit:
    """value = factor x size ^ exponent.

    Attributes:
        exponent: 1 is linear, 2 quadratic, 0 flat.
        factor: the value at size 1, in the value's unit.
        residual: standard deviation of log(measured / fitted); 0.05 is about 5 %.
    """

    exponent: float
    factor: float
    residual: float

    def __str__(self) -> str:
        """For a table: 1.02 (residual 0.03)."""
        return f"{self.exponent:.2f} (residual {self.residual:.2f})"

    def at(self, size: float) -> float:
        """The fitted value, in the value's unit."""
        return self.factor * size**self.exponent


def exponent(points: Sequence[Point]) -> Fit:
    """The straight line through the points' logarithms, by least squares.

    Args:
        points: (size, value), both positive, of two sizes at least. A constant part bends the line: where there is one,
            such as the time to start, take it off first (`above`).
    Raises:
        ValueError: all points have one size, or a number is not positive.
    """
    sizes, values = ([math.log(point[axis]) for point in points] for axis in (0, 1))
    middle_size, middle_value = sum(sizes) / len(sizes), sum(values) / len(values)
    width = sum((size - middle_size) ** 2 for size in sizes)
    if width == 0:
        raise ValueError(f"an exponent needs two sizes at least, and the points have {len(set(sizes))}")
    slope = (
        sum((size - middle_size) * (value - middle_value) for size, value in zip(sizes, values, strict=True)) / width
    )
    begin = middle_value - slope * middle_size
    errors = [value - begin - slope * size for size, value in zip(sizes, values, strict=True)]
    return Fit(slope, math.exp(begin), math.sqrt(sum(error**2 for error in errors) / len(errors)))


def above(points: Sequence[Point], constant: float) -> list[Point]:
    """The points without a constant part that was measured apart, such as the start of a process.

    Raises:
        ValueError: a value is not above it.
    """
    if any(value <= constant for _, value in points):
        raise ValueError(f"the constant part {constant:g} is not below every value: {[value for _, value in points]}")
    return [(size, value - constant) for size, value in points]

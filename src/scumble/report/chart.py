"""A line chart as HTML: lines in an SVG that takes any width, words around it that stay readable, values where the pointer is.

The lines are stretched to the width there is and keep their thickness; words would be stretched too, so they lie beside.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 1000.0, 300.0
"""Of the drawing's own units."""

MOST_POINTS = 700
"""Of a line: more are not seen, and make the page heavy."""

Points = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Line:
    """One line.

    Attributes:
        name: in the legend.
        points: (step, value), in order of the steps.
        look: its class in the style: what colour and dashes it has.
        has_dots: each point is marked.
        is_told: its values are told where the pointer is.
    """

    name: str
    points: Points
    look: str
    has_dots: bool = False
    is_told: bool = True


@dataclass(frozen=True)
class Scale:
    """The part of the plane that a chart shows: steps from left to right, values from low to high."""

    left: float
    right: float
    low: float
    high: float

    def x(self, step: float) -> float:
        """Share of the width, 0..1."""
        return (step - self.left) / (self.right - self.left)

    def y(self, value: float) -> float:
        """Share of the height from above, 0..1; what lies beyond the edges stays there."""
        return 1 - min(1.0, max(0.0, (value - self.low) / (self.high - self.low)))


def chart(title: str, lines: Sequence[Line], scale: Scale, marks: Sequence[tuple[float, str]] = ()) -> str:
    """A chart with its legend.

    Args:
        title: what the values are.
        lines: at least one with a point.
        scale: what is shown.
        marks: steps at which a thin line stands, and what it says.
    """
    drawn = "".join(_path(line, scale) for line in lines)
    flags = "".join(
        f'<path class="mark" d="M{_px(scale.x(step), WIDTH)} 0V{HEIGHT:g}"><title>{escape(words)}</title></path>'
        for step, words in marks
    )
    data = json.dumps([{"name": line.name, "points": _rounded(thinned(line.points))} for line in lines if line.is_told])
    edges = f'data-left="{scale.left:g}" data-right="{scale.right:g}"'
    return (
        f'<figure class="chart"><figcaption><b>{escape(title)}</b> {_legend(lines, marks)}</figcaption>\n'
        f'<div class="plot" {edges} data-lines="{escape(data)}">'
        f'<svg viewBox="0 0 {WIDTH:g} {HEIGHT:g}" preserveAspectRatio="none" role="img" aria-label="{escape(title)}">'
        f"{_grid(scale)}{flags}{drawn}</svg>{_words(scale)}"
        '<i class="at"></i><span class="tip"></span></div></figure>\n'
    )


def scale_of(points: Points, reach: tuple[float, float], low: float | None = None, high: float | None = None) -> Scale:
    """A scale that shows all of some points, with a little air above and below.

    Args:
        points: at least one.
        reach: the first and the last step that are shown.
        low, high: of the values, where they are not to be found out.
    """
    left, right = reach
    values = [value for _, value in points]
    least, most = min(values) if low is None else low, max(values) if high is None else high
    air = 0.06 * (most - least) or 0.05 * abs(most) or 1.0
    least = least if low is not None else (max(0.0, least - air) if least >= 0 else least - air)
    return Scale(left, right if right > left else left + 1, least, most + air)


def ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Round numbers between two, at most so many and one."""
    step = 10.0 ** math.floor(math.log10((high - low) / most))
    step *= next(factor for factor in (1, 2, 5, 10) if (high - low) / (step * factor) <= most)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [index * step for index in range(first, last + 1)]


def thinned(points: Points) -> list[tuple[float, float]]:
    """At most about `MOST_POINTS` of them: of each stretch the lowest and the highest, so that no spike is lost."""
    if len(points) <= MOST_POINTS:
        return list(points)
    stretch = math.ceil(2 * len(points) / MOST_POINTS)
    kept = []
    for start in range(0, len(points), stretch):
        part = points[start : start + stretch]
        ends = {min(part, key=lambda point: point[1]), max(part, key=lambda point: point[1])}
        kept += sorted(ends)
    return kept


def _path(line: Line, scale: Scale) -> str:
    points = thinned(line.points)
    if not points:
        return ""
    places = [f"{_px(scale.x(step), WIDTH)} {_px(scale.y(value), HEIGHT)}" for step, value in points]
    drawn = f'<path class="line {line.look}" d="M{"L".join(places)}"/>' if len(points) > 1 else ""
    if line.has_dots or len(points) == 1:
        drawn += f'<path class="dots {line.look}" d="{"".join(f"M{place}h0" for place in places)}"/>'
    return drawn


def _grid(scale: Scale) -> str:
    across = "".join(
        f'<path class="grid" d="M0 {_px(scale.y(value), HEIGHT)}H{WIDTH:g}"/>' for value in ticks(scale.low, scale.high)
    )
    return across + f'<path class="axis" d="M0 {HEIGHT:g}H{WIDTH:g}"/>'


def _words(scale: Scale) -> str:
    values = "".join(
        f'<span class="y" style="top:{100 * scale.y(value):.2f}%">{_short(value)}</span>'
        for value in ticks(scale.low, scale.high)
    )
    steps = "".join(
        f'<span class="x" style="left:{100 * scale.x(step):.2f}%">{step:,.0f}</span>'
        for step in ticks(scale.left, scale.right, 6)
        if step == int(step)
    )
    return values + steps


def _legend(lines: Sequence[Line], marks: Sequence[tuple[float, str]]) -> str:
    keys = {line.name: line.look for line in lines} | {words: "mark" for _, words in marks}
    return " ".join(f'<span class="key"><i class="{look}"></i>{escape(name)}</span>' for name, look in keys.items())


def _rounded(points: Points) -> list[list[float]]:
    return [[step, float(f"{value:.4g}")] for step, value in points]


def _px(share: float, whole: float) -> str:
    return f"{share * whole:.1f}".removesuffix(".0")


def _short(value: float) -> str:
    return f"{value:.3g}" if value == 0 or abs(value) >= 1e-3 else f"{value:.0e}".replace("e-0", "e-")

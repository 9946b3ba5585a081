"""The plots beside the results."""

import datetime
from collections.abc import Mapping, Sequence
from pathlib import Path

from .result import RESULTS
from .turns import Spread, in_digits

OURS, OTHERS, GROUND = "#c0562a", "#8a94a0", "#fcfbf9"


def bars(name: str, title: str, unit: str, values: Mapping[str, Spread], ours: Sequence[str] = ("scumble",)) -> Path:
    """Horizontal bars with their quartiles, ours in colour; shorter is better."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7.5, 0.9 + 0.42 * len(values)), facecolor=GROUND)
    axes.set_facecolor(GROUND)
    for place, (label, value) in enumerate(reversed(values.items())):
        is_ours = any(label.startswith(each) for each in ours)
        axes.barh(place, value.median, color=OURS if is_ours else OTHERS, height=0.62)
        axes.plot([value.low, value.high], [place, place], color="#2b2b2b", linewidth=1.2)
        axes.annotate(f" {in_digits(value.median)}", (max(value.median, value.high), place), va="center", fontsize=9)
    axes.set_yticks(range(len(values)), list(reversed(values)), fontsize=9)
    axes.set_xlabel(unit, fontsize=9)
    axes.set_title(title, fontsize=10, loc="left")
    return _saved(figure, axes, name)


def curves(name: str, title: str, over: str, unit: str, lines: Mapping[str, Sequence[tuple[float, float]]]) -> Path:
    """Points of (size, value), both axes logarithmic, so that a power is a straight line."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7.5, 4.5), facecolor=GROUND)
    axes.set_facecolor(GROUND)
    for label, points in lines.items():
        axes.plot(*zip(*points, strict=True), marker="o", markersize=4, label=label)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel(over, fontsize=9)
    axes.set_ylabel(unit, fontsize=9)
    axes.legend(fontsize=8, frameon=False)
    axes.set_title(title, fontsize=10, loc="left")
    return _saved(figure, axes, name)


def _saved(figure, axes, name: str) -> Path:
    axes.spines[["top", "right"]].set_visible(False)
    path = RESULTS / f"{datetime.date.today().isoformat()}-{name}.png"
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    return path

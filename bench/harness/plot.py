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
    axes.spines[["top", "right"]].set_visible(False)
    return _saved(figure, name)


Lines = Mapping[str, Sequence[tuple[float, float]]]
"""Label -> points of (size, value); what stands before a comma in it has one colour."""


def curves(name: str, title: str, over: str, panels: Mapping[str, Lines]) -> Path:
    """Values over sizes, a panel for each unit, all axes logarithmic: a power is a straight line, and a dotted one is linear."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    shape = {"figsize": (5.2 * len(panels), 4.2), "facecolor": GROUND}
    figure, every = pyplot.subplots(1, len(panels), squeeze=False, **shape)
    whats = dict.fromkeys(label.partition(",")[0] for lines in panels.values() for label in lines)
    colours = {what: f"C{place}" for place, what in enumerate(whats)}  # one in all panels
    for axes, (unit, lines) in zip(every[0], panels.items(), strict=True):
        axes.set_facecolor(GROUND)
        for label, points in lines.items():
            colour = colours[label.partition(",")[0]]
            axes.plot(*zip(*points, strict=True), marker="o", markersize=4, label=label, color=colour)
        _scaled(axes, [point for points in lines.values() for point in points])
        axes.set_xlabel(over, fontsize=9)
        axes.set_ylabel(unit, fontsize=9)
        axes.spines[["top", "right"]].set_visible(False)
        # above the lines, which then hide nothing and are not hidden
        axes.legend(fontsize=8, frameon=False, loc="lower left", bbox_to_anchor=(0, 1.02), borderaxespad=0, ncols=2)
    figure.suptitle(title, fontsize=10, x=0.01, ha="left")
    return _saved(figure, name)


def _scaled(axes, points: Sequence[tuple[float, float]]) -> None:
    """Logarithmic axes with plain numbers, sizes at those that were measured, and a dotted line of what is linear."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullLocator

    sizes, values = sorted({size for size, _ in points}), [value for _, value in points]
    low, high = min(values) / 1.25, max(max(values) * 1.25, min(values) * 4)  # what is flat is to look flat
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.plot(
        [sizes[0], sizes[-1]], [min(values), min(values) * sizes[-1] / sizes[0]], ":", color=OTHERS, label="linear"
    )
    axes.set_ylim(low, high)
    axes.xaxis.set_major_locator(FixedLocator(_apart(sizes)))
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda value, _: in_digits(value)))
        axis.set_minor_locator(NullLocator())
        axis.set_tick_params(labelsize=8)


def _apart(sizes: Sequence[float]) -> list[float]:
    """Of rising sizes those that are half as large again as the one before, at least: their numbers have room."""
    kept = [sizes[0]]
    for size in sizes[1:]:
        if size >= 1.5 * kept[-1]:
            kept.append(size)
    return kept


def _saved(figure, name: str) -> Path:
    path = RESULTS / f"{datetime.date.today().isoformat()}-{name}.png"
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    return path

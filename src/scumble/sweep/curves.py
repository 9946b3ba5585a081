"""The validation losses of all cells in one plot; each has a colour, a dash and a mark of its own."""

from collections.abc import Sequence

from PIL import Image

from scumble.sweep.record import Record
from scumble.train.curves import drawn

COLOURS = ("#000000", "#e69f00", "#0072b2", "#009e73", "#cc79a7", "#d55e00", "#56b4e9")
"""Told apart by colour-blind people too (Okabe and Ito 2008), but for yellow, which is too pale for a line on paper."""
DASHES = ("-", "--", "-.", ":")
MARKS = ("o", "s", "^", "D", "v", "P", "X", "*", "<")


def draw_curves(records: Sequence[Record]) -> Image.Image:
    """The validation loss over the steps of each cell that is done, its lowest point marked larger.

    Args:
        records: at least one of them done.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(9, 5), dpi=110, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.set_xlabel("optimizer step")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_ylabel("validation loss (same pictures, noise and timesteps)")
    for index, record in enumerate(record for record in records if record.is_done):
        steps, losses = zip(*record.validations, strict=True)
        colour, mark = COLOURS[index % len(COLOURS)], MARKS[index % len(MARKS)]
        axes.plot(
            steps,
            losses,
            color=colour,
            linestyle=DASHES[index % len(DASHES)],
            marker=mark,
            markersize=4,
            linewidth=1.4,
            label=f"{record.words}: {record.best:.4f} at step {record.best_step}",
        )
        axes.plot([record.best_step], [record.best], color=colour, marker=mark, markersize=10, fillstyle="none")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", alpha=0.25)
    legend = axes.legend(frameon=False, fontsize=8, handlelength=4)
    for text in legend.get_texts():
        text.set_parse_math(False)  # a pattern of layers may hold what looks like a formula
    return drawn(canvas)

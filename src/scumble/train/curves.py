"""Loss and held-out loss over the steps, as one picture."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

import numpy as np
from PIL import Image

from scumble.generate.fonts import label_font

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.backends.backend_agg import FigureCanvasAgg

HELD_OUT = "#c0562a"
BAND_COLOURS = ("#f0b37e", "#d9772f", "#a04a12", "#5c2a08")
TITLE_PX = 12
MARGINS = {"left": 0.085, "right": 0.985, "top": 0.92, "bottom": 0.075, "hspace": 0.14}
"""Parts of the picture; a layout that is computed would take longer than the rest of the drawing."""
SHARE_IN_SIGHT = 0.98
"""Of the single steps' losses."""


class Bands(TypedDict):
    """The held-out loss in parts of the noise schedule.

    Attributes:
        timesteps: what each part is, such as "0-249".
        losses: (step, loss of each part) of every validation.
    """

    timesteps: Sequence[str]
    losses: Sequence[tuple[int, Sequence[float]]]


def draw_curves(
    history: Sequence[tuple[int, float]],
    validations: Sequence[tuple[int, float]],
    best_step: int,
    title: str,
    bands: Bands,
) -> Image.Image:
    """The training loss (each step faint, its running mean strong), the held-out loss with its best point, and below it by
    timesteps, each band as a share of what it was at first.

    Args:
        history: (step, loss) of each step.
        validations: (step, validation loss).
        best_step: the step of the lowest validation loss; below 0 for none.
        title: over the picture.
        bands: the validation losses by timesteps.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(9, 6.5), dpi=110)
    canvas = FigureCanvasAgg(figure)
    axes, below = figure.subplots(2, 1, sharex=True, height_ratios=(5, 3), gridspec_kw=MARGINS)
    axes.set_ylabel("loss (mean squared error)")
    _draw_bands(below, bands)
    # a run's name is no formula, and may need another font
    axes.set_title(title, font=Path(str(label_font(title, TITLE_PX).path)), fontsize=TITLE_PX, pad=20, parse_math=False)
    if history:
        steps, losses = zip(*history, strict=True)
        axes.plot(
            steps, losses, color="#9fb8d4", linewidth=0.7, alpha=0.7, label="training, each step (2 % may be cut off)"
        )
        axes.plot(
            steps, running_mean(losses, max(1, len(losses) // 30)), color="#1f4e8c", label="training, running mean"
        )
    if validations:
        _draw_validations(axes, validations, best_step)
    if history or validations:
        _legend_above(axes, columns=3)
    below.xaxis.set_major_locator(MaxNLocator(integer=True))
    for each in (axes, below):
        each.spines[["top", "right"]].set_visible(False)
        each.grid(axis="y", alpha=0.25)
    axes.set_ylim(0, _top([loss for _, loss in history], [loss for _, loss in validations]))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # no font here has it: a box in the title
        return drawn(canvas)


def _legend_above(axes: "Axes", columns: int) -> None:
    """Outside of the plot, where no curve runs through it."""
    axes.legend(
        frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1.0), borderaxespad=0.2, fontsize=8, ncols=columns
    )


def drawn(canvas: "FigureCanvasAgg") -> Image.Image:
    """What is on a canvas of matplotlib, RGB; it is encoded once, where it is written."""
    canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")


def _draw_validations(axes: "Axes", validations: Sequence[tuple[int, float]], best_step: int) -> None:
    at, held_out = zip(*validations, strict=True)
    best = dict(validations).get(best_step)
    label = "validation, fixed noise" + (f" (best {best:.4f} at step {best_step})" if best is not None else "")
    axes.plot(at, held_out, color=HELD_OUT, marker="o", markersize=3, label=label)
    if best is not None:
        axes.plot([best_step], [best], color=HELD_OUT, marker="o", markersize=9, fillstyle="none")


def _draw_bands(axes: "Axes", bands: Bands) -> None:
    """The held-out loss by timesteps: little noise teaches details, much noise the composition."""
    axes.set_xlabel("optimizer step")
    axes.set_ylabel("held-out loss, 1 = at first")
    steps = [step for step, _ in bands["losses"]]
    for band, name in enumerate(bands["timesteps"] if steps else []):
        losses = [losses[band] for _, losses in bands["losses"]]
        first = losses[0] or 1.0
        colour = BAND_COLOURS[band % len(BAND_COLOURS)]
        axes.plot(steps, [loss / first for loss in losses], color=colour, linewidth=1.3, label=f"timesteps {name}")
    if steps:
        _legend_above(axes, columns=len(bands["timesteps"]))


def _top(losses: Sequence[float], validations: Sequence[float]) -> float | None:
    """Where the axis ends: single steps at an unlucky timestep may stick out, the two curves to look at may not."""
    usual = sorted(losses)[: max(1, round(SHARE_IN_SIGHT * len(losses)))]
    means = running_mean(losses, max(1, len(losses) // 30))
    highest = max([*usual[-1:], *means, *validations], default=0.0)
    return 1.08 * highest if highest > 0 else None


def running_mean(values: Sequence[float], window: int) -> list[float]:
    """Mean of the last `window` values at each place; of fewer at the start."""
    means, total = [], 0.0
    for index, value in enumerate(values):
        total += value - (values[index - window] if index >= window else 0.0)
        means.append(total / min(index + 1, window))
    return means

"""The parts of a report that are looked at: samples over time, before and after, and the nearest training pictures."""

from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path

from scumble.data.pictures import PictureRule, read_picture
from scumble.errors import DataError
from scumble.quantities import counted
from scumble.report.drawn import Pair
from scumble.report.samples import BASE_STEP, Nearest, Row, Samples
from scumble.report.shown import card, cards, picture, picture_file

CELL_REM = 10
"""Widest that a cell of the samples over time is shown."""

MOST_ROWS, MOST_STEPS, MOST_PAIRS, MOST_NEAREST, MOST_SHEETS = 24, 9, 8, 24, 4
"""A page of more is slow to open; the run's folder has all."""

CELL_PX, LARGE_PX, NEAREST_PX, SHEET_PX = 160, 384, 160, 900
NO_SAMPLES = (
    'No sample pictures were asked for: <code>--validation-prompt "..."</code> draws some while the training goes on, and '
    '<code>scumble report RUN --prompt "..."</code> draws the base and the LoRA now.'
)


def samples_over_time(samples: Samples) -> Iterator[str]:
    """Each prompt and seed a row, each step a column, all of a row from the same noise."""
    if not samples.rows:
        yield from _sheets(samples)
        return
    steps = shown_steps(samples.steps)
    heads = "".join(f"<th>{'base' if step == BASE_STEP else f'step {step:,}'}</th>" for step in steps)
    lines = "".join(_line(row, steps) for row in samples.rows[:MOST_ROWS])
    yield '<p class="faint">Each row has one prompt and one noise; only the LoRA differs.</p>'
    yield f'<div class="over"><table class="over" style="width: min(100%, {len(steps) * CELL_REM}rem)"><tr>{heads}</tr>{lines}</table></div>'
    left = [
        *([counted(len(samples.rows) - MOST_ROWS, "row")] if len(samples.rows) > MOST_ROWS else []),
        *([counted(len(samples.steps) - MOST_STEPS, "step")] if len(samples.steps) > MOST_STEPS else []),
    ]
    if left:
        yield f'<p class="faint">Not shown here, but in the run\'s folder: {" and ".join(left)}.</p>'


def shown_steps(steps: Sequence[int]) -> list[int]:
    """The first, the last and others evenly between, where there are too many to show."""
    if len(steps) <= MOST_STEPS:
        return list(steps)
    return [steps[round(index * (len(steps) - 1) / (MOST_STEPS - 1))] for index in range(MOST_STEPS)]


def _line(row: Row, steps: Sequence[int]) -> str:
    cells = "".join(f"<td>{_cell(row, step)}</td>" for step in steps)
    words = f'{escape(row.prompt) or "(empty prompt)"} <span class="faint">seed {row.seed}</span>'
    return f'<tbody><tr><th colspan="{len(steps)}">{words}</th></tr><tr>{cells}</tr></tbody>\n'


def _cell(row: Row, step: int) -> str:
    path = row.pictures.get(step)
    return "" if path is None else picture_file(path, CELL_PX, f"{row.prompt}, step {step}")


def _sheets(samples: Samples) -> Iterator[str]:
    """Of a run that kept its sample pictures only together."""
    if not samples.sheets:
        yield f"<p>{NO_SAMPLES}</p>"
        return
    steps = sorted(samples.sheets)[-MOST_SHEETS:]
    yield '<p class="faint">This run kept its sample pictures only together, and none of the base.</p>'
    yield cards(
        [card(picture_file(samples.sheets[step], SHEET_PX, f"step {step}"), f"step {step:,}") for step in steps],
        "pairs",
    )


def before_and_after(samples: Samples, drawn: Sequence[Pair]) -> Iterator[str]:
    """The base beside the LoRA, larger: what was drawn for this page, else the samples of the last step."""
    pairs = [_drawn(pair) for pair in drawn] or [
        _pair(row, max(row.pictures))
        for row in samples.rows
        if BASE_STEP in row.pictures and max(row.pictures) > BASE_STEP
    ]
    if not pairs:
        yield (
            f"<p>{NO_SAMPLES}</p>" if not samples.sheets else '<p class="faint">The base was not drawn in this run.</p>'
        )
        return
    yield '<p class="faint">Left the base alone, right with the LoRA, from the same noise.</p>'
    yield cards(pairs[:MOST_PAIRS], "pairs")
    if len(pairs) > MOST_PAIRS:
        yield f'<p class="faint">{counted(len(pairs) - MOST_PAIRS, "more pair")}: see the rows of the samples.</p>'


def _pair(row: Row, step: int) -> str:
    images = [
        picture_file(row.pictures[BASE_STEP], LARGE_PX, f"base: {row.prompt}"),
        picture_file(row.pictures[step], LARGE_PX, f"LoRA: {row.prompt}"),
    ]
    return card(
        f'<div class="two">{"".join(images)}</div>', escape(row.prompt), _small(f"seed {row.seed}, step {step:,}")
    )


def _drawn(pair: Pair) -> str:
    images = [
        picture(pair.base, LARGE_PX, f"base: {pair.prompt}"),
        picture(pair.lora, LARGE_PX, f"LoRA: {pair.prompt}"),
    ]
    return card(f'<div class="two">{"".join(images)}</div>', escape(pair.prompt), _small(pair.how))


def nearest_pictures(samples: Samples) -> Iterator[str]:
    """Each sample picture of the last step beside the training picture that it is nearest to."""
    if not samples.nearest:
        return
    usual = samples.nearest[0].usual
    yield (
        "<p>Left a sample picture, right the training picture that it is nearest to, with the distance of their most different "
        "part (0 = the same)."
        + (f" Training pictures are {usual:.2f} apart from each other; half of that is called a copy." if usual else "")
        + "</p>"
    )
    yield cards([_nearest(each) for each in samples.nearest[:MOST_NEAREST]], "pairs small")
    if len(samples.nearest) > MOST_NEAREST:
        yield f'<p class="faint">{counted(len(samples.nearest) - MOST_NEAREST, "more")} not shown here; --json lists all.</p>'


def _nearest(nearest: Nearest) -> str:
    sample = "" if nearest.sample is None else picture_file(nearest.sample, NEAREST_PX, "sample picture")
    kind = "bad" if nearest.is_copy else "good"
    words = f'<span class="{kind}">{nearest.distance:.2f}{" : a copy" if nearest.is_copy else ""}</span>'
    images = f'<div class="two">{sample}{_trained(nearest.picture)}</div>'
    return card(images, words, f'<span class="file">{escape(nearest.picture.name)}</span>')


def _trained(path: Path) -> str:
    try:
        return picture(read_picture(path, PictureRule(first_frame=True)), NEAREST_PX, path.name)
    except (DataError, OSError):
        return '<span class="faint">not there any more</span>'


def _small(text: str) -> str:
    return f'<span class="faint">{escape(text)}</span>'

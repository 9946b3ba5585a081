"""The picture and the page of a comparison, written when all cells are drawn."""

from collections.abc import Iterator, Mapping

from scumble.compare.axis import BASE
from scumble.compare.bases import OnBase
from scumble.compare.cells import Cell
from scumble.compare.draw import Drawing
from scumble.compare.events import PageWritten
from scumble.compare.layout import Layout, Spot
from scumble.compare.page import Words, comparison_page
from scumble.compare.sheet import largest, max_cell_px, sheet
from scumble.compare.words import facts_of, failures_of, labels_of, title_of
from scumble.config.compare import CompareConfig
from scumble.errors import ScumbleError
from scumble.files.atomic import write_atomically
from scumble.generate.events import Composed, Noted
from scumble.generate.infotext import png_texts
from scumble.generate.prepare import note_boxes
from scumble.generate.recipe import Recipe
from scumble.generate.save import png_bytes


def write(
    config: CompareConfig, layout: Layout, bases: Mapping[str | None, OnBase], drawing: Drawing
) -> Iterator[Noted | Composed | PageWritten]:
    """Write both, and let go of what was kept for going on.

    Raises:
        ScumbleError: no cell could be drawn, or the disk does not take the files.
    """
    cells = drawing.cells
    failures = failures_of(cells)
    if all(cell.image is None for cell in cells.values()):
        raise ScumbleError(failures)
    words = _words(layout, bases, drawing, failures)
    image = sheet(cells, (words.columns, words.rows, words.tables), f"{words.title}\n{words.facts}")
    yield from note_boxes([words.title, words.facts, *words.columns, *words.rows, *words.tables])
    shown_px = max_cell_px(len(cells), largest(cells))
    if shown_px is not None:
        yield Noted(f"the picture shows each cell at {shown_px} px; the page has them at full size")
    page = config.out.with_suffix(".html")
    if config.out.exists():
        yield Noted(f"replacing {config.out}")
    try:
        config.out.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(config.out, png_bytes(image, png_texts(*_with_loras_first(cells))))
        write_atomically(page, comparison_page(cells, drawing.keys, words).encode())
    except OSError as error:
        raise ScumbleError(f"cannot write {error.filename or config.out}: {error.strerror}") from error
    drawing.kept.finish()
    if failures:
        yield Noted(failures, warning=True)
    yield Composed(config.out, image, "comparison")
    yield PageWritten(page)


def _words(layout: Layout, bases: Mapping[str | None, OnBase], drawing: Drawing, failures: str) -> Words:
    names = [on_base.base.name for on_base in bases.values()]
    columns, rows, tables = (labels_of(axis, names, drawing.kins) for axis in layout.axes)
    recipes = [cell.recipe for cell in drawing.cells.values()]
    return Words(
        title_of(layout, drawing.cells),
        facts_of(layout, recipes),
        columns,
        rows,
        tables,
        [f"LoRA {kin.lora}: {kin.words}" for kin in drawing.kins if layout.has(BASE) or not kin.is_own],
        failures,
    )


def _with_loras_first(cells: Mapping[Spot, Cell]) -> list[Recipe]:
    """Each drawn recipe once, row by row, those of a row with LoRAs first: the WebUI reads the first of all."""
    drawn = [(spot, cell.recipe) for spot, cell in cells.items() if cell.image is not None]
    drawn.sort(key=lambda each: (each[0][2], each[0][1], not each[1].loras, each[0][0]))
    return list(dict.fromkeys(recipe for _, recipe in drawn))

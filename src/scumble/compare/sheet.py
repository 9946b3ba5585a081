"""The labelled picture of a comparison: one table below the other, cells without a picture with their reason in them."""

from collections.abc import Mapping, Sequence

from PIL import Image, ImageDraw

from scumble.compare.cells import Cell
from scumble.compare.layout import Spot
from scumble.generate.grid import FAINT_INK, INK, MIN_CELL_PX, PAPER, font_size, labelled_grid, text_picture

MOST_PIXELS = 120_000_000
"""Of the whole picture; cells are shown smaller where it would have more."""

MARGIN = 13
BORDER = (190, 186, 178)


def sheet(cells: Mapping[Spot, Cell], labels: Sequence[Sequence[str]], title: str) -> Image.Image:
    """All tables in one picture.

    Args:
        cells: drawn, or with the reason why not.
        labels: of the columns, the rows and the tables.
        title: above everything; lines after the first are written smaller.
    """
    columns, rows, names = labels
    size = largest(cells)
    cell_px = max_cell_px(len(cells), size)
    tables = []
    for table, name in enumerate(names):
        grid = [
            [_picture(cells[column, row, table], size) for column in range(len(columns))] for row in range(len(rows))
        ]
        tables.append(labelled_grid(grid, _said(columns), _said(rows), name or title, cell_px))
    return _stacked([_head(title, max(table.width for table in tables)), *tables] if any(names) else tables)


def largest(cells: Mapping[Spot, Cell]) -> tuple[int, int]:
    """The size of the largest cell."""
    sizes = [(cell.recipe.width, cell.recipe.height) for cell in cells.values()]
    return max(width for width, _ in sizes), max(height for _, height in sizes)


def max_cell_px(count: int, size: tuple[int, int]) -> int | None:
    """The longer side of a cell in the picture; None = as drawn."""
    if count * size[0] * size[1] <= MOST_PIXELS:
        return None
    scale = (MOST_PIXELS / (count * size[0] * size[1])) ** 0.5
    return max(MIN_CELL_PX, int(max(size) * scale))


def _said(labels: Sequence[str]) -> Sequence[str]:
    """The labels, or none where all are empty."""
    return labels if any(labels) else ()


def _picture(cell: Cell, size: tuple[int, int]) -> Image.Image:
    return cell.image if cell.image is not None else _reason(cell.reason, size)


def _reason(reason: str, size: tuple[int, int]) -> Image.Image:
    """A frame with the reason in it, as large as a picture."""
    factor = max(1, -(-MIN_CELL_PX // max(size)))
    width, height = size[0] * factor, size[1] * factor
    frame = Image.new("RGB", (width, height), PAPER)
    ImageDraw.Draw(frame).rectangle((0, 0, width - 1, height - 1), outline=BORDER, width=2)
    type_px = min(font_size(width), 18)
    text = text_picture(reason, width - 16, type_px, FAINT_INK)
    frame.paste(text.crop((0, 0, text.width, min(text.height, height - 16))), (8, 8))
    return frame


def _head(title: str, width: int) -> Image.Image:
    """What stands above several tables that have titles of their own."""
    first, _, rest = title.partition("\n")
    size_px = font_size(width // 4)
    parts = [
        text_picture(first, width - 2 * MARGIN, size_px, INK, bold=True),
        text_picture(rest, width - 2 * MARGIN, size_px, FAINT_INK),
    ]
    head = Image.new("RGB", (width, sum(part.height for part in parts) + 2 * MARGIN), PAPER)
    top = MARGIN
    for part in parts:
        head.paste(part, (MARGIN, top))
        top += part.height
    return head


def _stacked(tables: Sequence[Image.Image]) -> Image.Image:
    if len(tables) == 1:
        return tables[0]
    sheet = Image.new("RGB", (max(table.width for table in tables), sum(table.height for table in tables)), PAPER)
    top = 0
    for table in tables:
        sheet.paste(table, (0, top))
        top += table.height
    return sheet

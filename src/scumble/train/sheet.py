"""A sheet of the training pictures with their captions, as one picture to look at before training."""

from collections.abc import Sequence

from PIL import Image, ImageOps

from scumble.data.pictures import read_picture
from scumble.data.scan import Example
from scumble.generate.grid import FAINT_INK, PAPER, labelled_grid, text_picture

CELL_PX = 160
CAPTION_PX = 46
TYPE_PX = 12
LONGEST_CAPTION = 75


def draw_sheet(examples: Sequence[Example], title: str, columns: int = 6, limit: int = 36) -> Image.Image:
    """The first pictures as training crops them, each over its caption.

    Args:
        examples: the pictures and captions.
        title: over the sheet.
        columns: pictures in a row.
        limit: most pictures shown.
    """
    cells = [_cell(example) for example in examples[:limit]]
    rows = [cells[start : start + columns] for start in range(0, len(cells), columns)]
    more = len(examples) - len(cells)
    return labelled_grid(rows, title=title + (f"\nthe first {limit}; {more} more are not shown" if more else ""))


def _cell(example: Example) -> Image.Image:
    """A picture's middle square above its caption; a long caption ends in dots."""
    caption = example.caption or "(empty caption)"
    if len(caption) > LONGEST_CAPTION:
        caption = caption[: LONGEST_CAPTION - 1] + "…"
    picture = read_picture(example.path, example.rule)
    small = min(picture.size) * 2 <= CELL_PX
    method = Image.Resampling.NEAREST if small else Image.Resampling.LANCZOS
    cell = Image.new("RGB", (CELL_PX, CELL_PX + CAPTION_PX), PAPER)
    cell.paste(ImageOps.fit(picture, (CELL_PX, CELL_PX), method), (0, 0))
    cell.paste(text_picture(caption, CELL_PX, TYPE_PX, FAINT_INK), (0, CELL_PX + 3))
    return cell

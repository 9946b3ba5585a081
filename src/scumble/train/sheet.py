"""A sheet of the training pictures with their captions: as one picture to look at before training, and as data."""

from collections.abc import Sequence
from typing import Any

from PIL import Image, ImageOps

from scumble.data.names import name_in, root_of
from scumble.data.pictures import read_picture
from scumble.data.scan import Example
from scumble.generate.grid import FAINT_INK, PAPER, labelled_grid, text_picture
from scumble.train.plan import Plan

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


def data_sheet(plan: Plan) -> dict[str, Any]:
    """What a run learns from, as JSON values: each picture with its captions and its cut, and what was left out and why."""
    scan, held_out = plan.scan, set(plan.split.held_out)
    root = root_of(scan.folder)
    return {
        "folder": str(scan.folder),
        "said": scan.said,
        "fingerprint": scan.fingerprint(),
        "pictures": [
            {
                "path": str(example.path.absolute()),
                "name": name_in(example.path, root),
                "captions": example.captions,
                "content": example.content,
                "size_px": example.size_px,
                "cut_px": cut,
                "repeats": example.repeats,
                "is_held_out": index in held_out,
                "is_masked": example.mask is not None,
            }
            for index, (example, cut) in enumerate(plan.cuts)
        ],
        "rejected": [{"name": name_in(item.path, root), "reason": item.reason} for item in scan.rejected],
    }

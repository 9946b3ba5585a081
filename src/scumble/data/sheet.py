"""A sheet of the training pictures with their captions, as one picture to look at before training."""

import textwrap
from collections.abc import Sequence
from pathlib import Path

import matplotlib
from PIL import Image, ImageDraw, ImageFont

from scumble.data.pictures import read_picture
from scumble.data.scan import Example

CELL_PX = 160
CAPTION_LINES = 3
LINE_PX = 15
MARGIN_PX = 10


def draw_sheet(examples: Sequence[Example], columns: int = 6, limit: int = 36) -> Image.Image:
    """The first pictures as training crops them, each over its caption.

    Args:
        examples: the pictures and captions.
        columns: pictures in a row.
        limit: most pictures shown.
    """
    shown = examples[:limit]
    columns = min(columns, len(shown))
    rows = -(-len(shown) // columns)
    cell_height = CELL_PX + CAPTION_LINES * LINE_PX + MARGIN_PX
    size = (columns * (CELL_PX + MARGIN_PX) + MARGIN_PX, rows * (cell_height + MARGIN_PX) + MARGIN_PX)
    sheet = Image.new("RGB", size, "white")
    pen = ImageDraw.Draw(sheet)
    font = ImageFont.truetype(font_path(), 11)
    for index, example in enumerate(shown):
        left = MARGIN_PX + (index % columns) * (CELL_PX + MARGIN_PX)
        top = MARGIN_PX + (index // columns) * (cell_height + MARGIN_PX)
        sheet.paste(_square(read_picture(example.path)), (left, top))
        lines = textwrap.wrap(example.caption or "(empty caption)", 26)
        if len(lines) > CAPTION_LINES:
            lines = [*lines[: CAPTION_LINES - 1], lines[CAPTION_LINES - 1][:24] + " …"]
        for number, line in enumerate(lines):
            pen.text((left, top + CELL_PX + 4 + number * LINE_PX), line, fill="#333333", font=font)
    return sheet


def _square(image: Image.Image) -> Image.Image:
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    middle = image.crop((left, top, left + side, top + side))
    method = Image.Resampling.NEAREST if side * 2 <= CELL_PX else Image.Resampling.LANCZOS
    return middle.resize((CELL_PX, CELL_PX), method)


def font_path() -> Path:
    """A TrueType font that is always there: the one that ships with matplotlib."""
    return Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"

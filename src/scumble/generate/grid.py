"""One labelled picture of many: a table whose cells are pictures, and whose labels are pictures of text."""

import re
from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

from scumble.generate.fonts import label_font

MIN_CELL_PX = 128
PAPER = (250, 249, 246)
INK = (38, 38, 38)
FAINT_INK = (96, 94, 90)

Colour = tuple[int, int, int]


def labelled_grid(
    rows: Sequence[Sequence[Image.Image]],
    column_labels: Sequence[str] = (),
    row_labels: Sequence[str] = (),
    title: str | None = None,
    max_cell_px: int | None = None,
) -> Image.Image:
    """Pictures in rows and columns, labelled; small ones are enlarged to at least 128 pixels.

    Args:
        rows: pictures of any sizes; rows may differ in length.
        column_labels: above the columns, one each, or none at all.
        row_labels: left of the rows, one each, or none at all.
        title: above everything; lines after the first are written smaller.
        max_cell_px: pictures whose longer side is larger are made smaller; None = never.
    """
    assert any(rows), "a grid needs a picture"
    cells = [[_fitted(image.convert("RGB"), max_cell_px) for image in row] for row in rows]
    cell_width = max(image.width for row in cells for image in row)
    size_px = font_size(cell_width)
    gap = max(4, cell_width // 32)
    table = [[_padded(image, cell_width, image.height) for image in row] for row in cells]
    if column_labels:
        table.insert(0, _heads(column_labels, cell_width, size_px))
    if row_labels:
        heights = [max((image.height for image in row), default=0) for row in cells]
        sides = _sides(row_labels, heights, max(12 * size_px, cell_width), size_px, 2 * gap)
        corner = [Image.new("RGB", (1, 1), PAPER)] if column_labels else []
        table = [[side, *row] for side, row in zip([*corner, *sides], table, strict=True)]
    sheet = _tabled(table, gap)
    if title:
        sheet = _titled(sheet, title, size_px, max(sheet.width, 3 * cell_width), 2 * gap)
    return _padded(sheet, sheet.width + 6 * gap, sheet.height + 6 * gap)


def font_size(cell_width: int) -> int:
    """Pixels of type that read well beside pictures of this width."""
    return min(max(13, round(cell_width / 18)), 32)


def text_picture(
    text: str, max_width: int, size_px: int, ink: Colour, bold: bool = False, centred: bool = False
) -> Image.Image:
    """A text on paper, broken into as many lines as the width asks for; as large as the text needs."""
    font = label_font(text, size_px, bold)
    lines = wrapped(text, font, max_width)
    ascent, descent = font.getmetrics()
    line_height = round(1.12 * (ascent + descent))
    width = max(round(font.getlength(line)) + 2 for line in lines)
    picture = Image.new("RGB", (width, line_height * len(lines)), PAPER)
    draw = ImageDraw.Draw(picture)
    for index, line in enumerate(lines):
        x = (width - font.getlength(line)) / 2 if centred else 1
        draw.text((x, index * line_height), line, font=font, fill=ink)
    return picture


def wrapped(text: str, font: ImageFont.FreeTypeFont, max_width: int) -> list[str]:
    """The lines of a text: broken at blanks, and inside a word only where the word alone is too wide.

    Args:
        text: line breaks in it are kept.
        font: what it will be drawn with.
        max_width: in pixels.
    """
    lines = []
    for paragraph in text.split("\n"):
        line = ""
        for word in paragraph.split():
            longer = f"{line} {word}".lstrip()
            if font.getlength(longer) <= max_width:
                line = longer
                continue
            if line:
                lines.append(line)
            *full, line = _broken(word, font, max_width)
            lines += full
        lines.append(line)
    return lines


def _broken(word: str, font: ImageFont.FreeTypeFont, max_width: int) -> list[str]:
    """Pieces of a word that fit the width: broken after - _ / . where possible, else between signs."""
    pieces = [""]
    for part in re.findall(r"[^-_/.]*[-_/.]|[^-_/.]+", word):
        if font.getlength(pieces[-1] + part) <= max_width:
            pieces[-1] += part
            continue
        pieces.append("")
        for sign in part:
            if font.getlength(pieces[-1] + sign) > max_width:
                pieces.append("")
            pieces[-1] += sign
    return [piece for piece in pieces if piece]


def _heads(labels: Sequence[str], width: int, size_px: int) -> list[Image.Image]:
    """Column labels, all of one height, standing on their pictures."""
    texts = [text_picture(label, width, size_px, INK, centred=True) for label in labels]
    height = max(text.height for text in texts)
    return [_padded(text, text.width, height, below=0) for text in texts]


def _sides(labels: Sequence[str], heights: Sequence[int], min_width: int, size_px: int, gap: int) -> list[Image.Image]:
    """Row labels, all of one width, with air towards the pictures; wider where they would be higher than their row."""
    for width in (min_width, 3 * min_width // 2, 2 * min_width, 3 * min_width):
        texts = [text_picture(label, width, size_px, FAINT_INK) for label in labels]
        if all(text.height <= height for text, height in zip(texts, heights, strict=True)):
            break
    width = max(text.width for text in texts) + gap
    return [_padded(text, width, text.height, 0) for text in texts]


def _titled(sheet: Image.Image, title: str, size_px: int, max_width: int, gap: int) -> Image.Image:
    """A sheet with its title above: the first line bold, the others as plain as labels."""
    first, _, rest = title.partition("\n")
    parts = [text_picture(first, max_width, round(1.15 * size_px), INK, bold=True)]
    if rest:
        parts.append(text_picture(rest, max_width, size_px, FAINT_INK))
    width = max(part.width for part in [*parts, sheet])
    above = _tabled([[_padded(part, width, part.height, 0)] for part in parts], gap // 2)
    return _tabled([[above], [_padded(sheet, width, sheet.height, 0)]], gap)


def _tabled(rows: Sequence[Sequence[Image.Image]], gap: int) -> Image.Image:
    """Pictures in a table, each in the middle of its place."""
    num_columns = max(map(len, rows))
    widths = [max(row[column].width for row in rows if column < len(row)) for column in range(num_columns)]
    heights = [max((image.height for image in row), default=0) for row in rows]
    sheet = Image.new("RGB", (sum(widths) + gap * (num_columns - 1), sum(heights) + gap * (len(rows) - 1)), PAPER)
    for index, row in enumerate(rows):
        for column, image in enumerate(row):
            x = sum(widths[:column]) + gap * column + (widths[column] - image.width) // 2
            y = sum(heights[:index]) + gap * index + (heights[index] - image.height) // 2
            sheet.paste(image, (x, y))
    return sheet


def _padded(
    picture: Image.Image, width: int, height: int, left: int | None = None, below: int | None = None
) -> Image.Image:
    """A picture on paper of a given size: in the middle, or with so many pixels left of it or below it."""
    sheet = Image.new("RGB", (width, height), PAPER)
    x = (width - picture.width) // 2 if left is None else left
    y = (height - picture.height) // 2 if below is None else height - picture.height - below
    sheet.paste(picture, (x, y))
    return sheet


def _fitted(image: Image.Image, max_px: int | None) -> Image.Image:
    """Enlarged by a whole factor, pixels kept sharp, until it can be seen; made smaller where asked."""
    longer = max(image.size)
    if longer < MIN_CELL_PX:
        factor = -(-MIN_CELL_PX // longer)
        return image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)
    if max_px is not None and longer > max_px:
        scale = max_px / longer
        size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
        return image.resize(size, Image.Resampling.LANCZOS)
    return image

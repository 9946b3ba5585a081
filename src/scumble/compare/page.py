"""The page of a comparison: the tables with every cell's picture and recipe in it, and a slider between any two."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from scumble.compare.cells import Cell
from scumble.compare.layout import Spot
from scumble.compare.sheet import largest
from scumble.generate.recipe import Recipe, plain_number
from scumble.generate.webui_text import to_infotext
from scumble.page import html_page, image_tag, items, section

COMMAND = "compare"
"""The command whose pages may be written anew."""

LOSSLESS_PX = 256
"""Pictures up to this side are in the page as they are; larger ones as JPEG files of this quality."""
QUALITY = 92

HINT = (
    "Click a picture to see it large, with its recipe; the arrow keys go to its neighbours. Choose two pictures with + (or the "
    "key c) and slide between them."
)

DIALOGS = """
<div class="tray" id="tray" hidden><span id="tray-words"></span><button id="tray-slide">Slide between them</button>
<button id="tray-clear">Clear</button></div>
<dialog id="zoom" aria-labelledby="zoom-title"><h2 id="zoom-title" tabindex="-1" autofocus></h2><div class="beside"><img id="zoom-picture" alt="">
<div><table id="zoom-facts"></table><h3>Recipe, as the WebUI reads it</h3><pre id="zoom-recipe"></pre><div class="buttons">
<button id="copy">Copy recipe</button><button id="zoom-pick">Choose to compare</button><button class="close">Close</button></div>
</div></div></dialog>
<dialog id="slide" aria-label="slide between two pictures"><div class="slide" id="slide-box"><img id="slide-under" alt="B">
<img id="slide-over" class="over" alt="A"><div class="edge"></div></div><div class="sides"><span id="slide-left"></span>
<span id="slide-right"></span></div><input type="range" id="at" min="0" max="100" step="1" value="50" aria-label="how much of A">
<p class="faint">Arrow keys move the edge, the space bar jumps from A to B, s swaps them.</p>
<div class="buttons"><button id="swap">Swap</button><button class="close">Close</button></div></dialog>
"""


@dataclass(frozen=True)
class Words:
    """What a page says beside its pictures.

    Attributes:
        title, facts: what differs, and what is the same everywhere.
        columns, rows, tables: labels.
        kinship: sentences on how bases and LoRAs are related.
        failures: what could not be drawn.
    """

    title: str
    facts: str
    columns: Sequence[str]
    rows: Sequence[str]
    tables: Sequence[str]
    kinship: Sequence[str] = ()
    failures: str = ""


def comparison_page(cells: Mapping[Spot, Cell], keys: Mapping[Recipe, str], words: Words) -> str:
    """The whole file.

    Args:
        cells: drawn, or with the reason why not.
        keys: recipe -> the hash by which its picture is known.
        words: labels and sentences.
    """
    place = files("scumble.compare")
    size = largest(cells)
    cell_px = _cell_px(size, len(words.columns))
    tables = "".join(_section(cells, words, table) for table in range(len(words.tables)))
    told = {_name(spot): _fact(cell, spot, words, keys[cell.recipe]) for spot, cell in cells.items()}
    body = (
        f"<header><h1>{escape(words.title)}</h1></header>\n"
        f'<p class="faint">{escape(words.facts)}</p>\n<p class="faint hint">{escape(HINT)}</p>\n'
        + (f'<p class="warn">{escape(words.failures)}</p>\n' if words.failures else "")
        + f"{_tools(size, cell_px)}<main>{tables}</main>\n"
        + section("How the bases are related", items(words.kinship))
        + DIALOGS
        + f'<script type="application/json" id="cells">{_as_json(told)}</script>\n'
    )
    style = (place / "page.css").read_text(encoding="utf-8")
    start = f":root {{ --cell: {cell_px}px; --shape: {size[0]} / {size[1]}; --render: {_render(size)}; }}\n"
    return html_page(words.title, body, COMMAND, start + style, (place / "page.js").read_text(encoding="utf-8"))


def _tools(size: tuple[int, int], cell_px: int) -> str:
    return (
        '<div class="tools"><label>Show only <input type="search" id="filter" placeholder="words on a label"></label>'
        '<span id="filter-none" class="warn" hidden>no label says that</span>'
        f'<label>Size <input type="range" id="width" min="48" max="{max(384, size[0])}" step="8" value="{cell_px}"></label></div>\n'
    )


def _render(size: tuple[int, int]) -> str:
    """Small pictures keep their pixels sharp where they are enlarged."""
    return "pixelated" if max(size) <= 128 else "auto"


def _cell_px(size: tuple[int, int], columns: int) -> int:
    """How wide a cell is at first: so that the usual window holds the columns, but not smaller than can be seen."""
    return max(112, min(max(size[0], 160), 320, 1080 // max(1, columns)))


def _section(cells: Mapping[Spot, Cell], words: Words, table: int) -> str:
    heads = "".join(f"<th scope=col>{escape(label)}</th>" for label in words.columns)
    rows = "".join(
        f"<tr><th scope=row>{escape(label)}</th>"
        + "".join(_spot(cells[column, row, table], (column, row, table), words) for column in range(len(words.columns)))
        + "</tr>\n"
        for row, label in enumerate(words.rows)
    )
    title = f"<h2>{escape(words.tables[table])}</h2>" if words.tables[table] else ""
    return (
        f'<section>{title}<div class="scroll"><table class="cells"><thead><tr><th></th>{heads}</tr></thead>\n'
        f"<tbody>{rows}</tbody></table></div></section>\n"
    )


def _spot(cell: Cell, spot: Spot, words: Words) -> str:
    name = " · ".join(_labels(spot, words))
    if cell.image is None:
        return f'<td class="spot" data-spot="{_name(spot)}"><div class="failed">{escape(cell.reason)}</div></td>'
    return (
        f'<td class="spot" data-spot="{_name(spot)}"><button class="cell">{_image(cell.image, name)}</button>'
        f'<button class="pick" aria-label="compare {escape(name)}" aria-pressed="false">+</button></td>'
    )


def _image(image: Image.Image, alt: str) -> str:
    content = BytesIO()
    if max(image.size) <= LOSSLESS_PX:
        image.save(content, "PNG")
        return image_tag(content.getvalue(), "png", alt)
    image.save(content, "JPEG", quality=QUALITY, subsampling=0)
    return image_tag(content.getvalue(), "jpeg", alt)


def _labels(spot: Spot, words: Words) -> list[str]:
    lists = (words.columns, words.rows, words.tables)
    return [labels[at].replace("\n", ", ") for labels, at in zip(lists, spot, strict=True) if labels[at]]


def _fact(cell: Cell, spot: Spot, words: Words, key: str) -> dict[str, Any]:
    """What the page tells of a cell when it is shown large."""
    recipe = cell.recipe
    facts = [
        ("Prompt", recipe.prompt or "(empty)"),
        ("Negative", recipe.negative_prompt),
        ("Seed", str(recipe.seed)),
        ("LoRAs", ", ".join(f"{lora.name} at {plain_number(lora.weight)}" for lora in recipe.loras) or "none"),
        ("Sampler", f"{recipe.sampler}, {recipe.steps} steps, guidance {plain_number(recipe.guidance_scale)}"),
        ("Clip skip", str(recipe.clip_skip) if recipe.clip_skip > 1 else ""),
        ("Size", f"{recipe.width} x {recipe.height}"),
        ("Base", Path(recipe.base).name),
        ("Hash", key),
    ]
    return {
        "labels": _labels(spot, words),
        "facts": [fact for fact in facts if fact[1]],
        "recipe": to_infotext(recipe),
    }


def _name(spot: Spot) -> str:
    return "-".join(map(str, spot))


def _as_json(value: Any) -> str:
    """JSON that may stand inside a page: no text in it ends the script."""
    return json.dumps(value, ensure_ascii=False).replace("<", "\\u003c")

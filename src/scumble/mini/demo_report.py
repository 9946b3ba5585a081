"""The demonstration's report: one HTML file that holds its pictures, opens offline and prints well."""

from collections.abc import Mapping
from dataclasses import asdict
from html import escape
from pathlib import Path

from scumble.files.atomic import write_atomically
from scumble.mini.config import DemoConfig
from scumble.mini.exam import GUIDANCE_SCALE, SAMPLER, STEPS, Marks
from scumble.page import html_page, image_tag, rows, section, tiles

COMMAND = "demo"
GOOD = 0.9
"""From this share on a figure is marked as good."""

STYLE = """
figure { margin: 1rem 0; } figure img { width: 100%; }
.two { display: grid; grid-template-columns: 1fr 1fr; gap: 1rem; } .two figure { margin: 0; }
.marks td, .marks th { text-align: right; } .marks td:first-child, .marks th:first-child { text-align: left; }
@media (max-width: 600px) { .two { grid-template-columns: 1fr; } .marks td, .marks th { padding-right: .5rem; } }
"""
HEADS = {"nine": "nine", "old": "old digits", "style": "style", "together": "nine in style"}


def write_report(
    path: Path, config: DemoConfig, marks: Mapping[str, Marks], seconds: float, files: Mapping[str, Path], error: float
) -> None:
    """Write the report.

    Args:
        path: the HTML file; files beside it are named relative to its folder.
        config: the demonstration's settings.
        marks: variant -> the judge's figures.
        seconds: how long all of it took.
        files: what was made; "side by side" and "reverse process" are shown.
        error: largest difference of a pixel between drawing with adapters and with folded weights.
    """
    both = marks["both"]
    body = [
        "<header><h1>What two LoRAs learnt</h1></header>",
        f'<p class="faint">Made by <code>scumble demo --seed {config.seed}</code> in {seconds:.0f} seconds on a CPU, offline.</p>',
        INTRODUCTION,
        tiles(
            [
                (_share(marks["base"].nine), "nines of the base, which saw none"),
                (_share(marks["concept"].nine), "nines of the concept LoRA"),
                (_share(marks["style"].style), "digits in style, of the style LoRA"),
                (_share(both.together), "nines in style, of both"),
            ]
        ),
        section("What the judge sees", _table(marks), _how_judged(config)),
        section(
            "Side by side",
            _figure(files["side by side"], "Each column has one prompt and one noise; only the LoRAs differ."),
        ),
        section("From noise to picture", _figure(files["reverse process"], "Twenty moments of the reverse process.")),
        f"<p>Folded into the weights, the LoRAs draw the same pictures: the largest difference of a pixel is {255 * error:.0f} of "
        "255.</p>",
        section("What they learnt from", _learnt_from(path.parent)),
        section("The files", _files(path.parent, files)),
    ]
    write_atomically(path, html_page("scumble demo", "\n".join(body), COMMAND, STYLE).encode())


INTRODUCTION = """<p>The base model in the box was made from real handwriting of the digits zero to eight; it never saw a nine.
Two LoRAs were trained on 24 pictures each, in folders like a person's own: <b>concept</b> (the nine, with pictures of the old
digits that the base drew beside it, so that they are not forgotten) and <b>style</b> (old digits striped white on dark).
<b>Both</b> adds the two, at full strength.</p>"""


def _table(marks: Mapping[str, Marks]) -> str:
    cells = [[escape(name), *_cells(mark)] for name, mark in marks.items()]
    return f'<div class="marks">{rows(["variant", *HEADS.values()], cells)}</div>'


def _cells(mark: Marks) -> list[str]:
    values = asdict(mark)
    return [f'<span class="{"good" if values[key] >= GOOD else "plain"}">{_share(values[key])}</span>' for key in HEADS]


def _share(value: float) -> str:
    return f"{100 * value:.1f} %"


def _how_judged(config: DemoConfig) -> str:
    return f"""<p class="faint">A small network that learnt from other handwriting looked at {config.pictures_per_score} pictures for each
figure: asked for a nine, is it a nine; asked for a zero to eight, is it that; asked for any digit in the style, is it striped,
white and on dark. Style and both are asked for everything in the style's words, base and concept for digits in ink on paper.
{SAMPLER}, {STEPS} steps, guidance {GUIDANCE_SCALE:g}.</p>"""


def _learnt_from(out: Path) -> str:
    pictures = [
        _figure(out / name / file, f"{name}: {what}")
        for file, what in (("sheet.png", "the person's pictures"), ("curves.png", "loss"))
        for name in ("concept", "style")
    ]
    return f'<div class="two">{"".join(pictures)}</div>'


def _files(out: Path, files: Mapping[str, Path]) -> str:
    cells = [
        [escape(what), f'<span class="file">{escape(file.relative_to(out).as_posix())}</span>']
        for what, file in files.items()
    ]
    return rows([], cells)


def _figure(image: Path, caption: str) -> str:
    return f"<figure>{image_tag(image.read_bytes(), 'png', caption)}<figcaption>{escape(caption)}</figcaption></figure>"

"""The demonstration's report: one HTML file that holds its pictures, opens offline and prints well."""

import base64
from collections.abc import Mapping
from dataclasses import asdict
from html import escape
from pathlib import Path

from scumble.files.atomic import write_atomically
from scumble.mini.config import DemoConfig
from scumble.mini.exam import GUIDANCE_SCALE, SAMPLER, STEPS, Marks

STYLE = """
body { font: 16px/1.5 Georgia, "Noto Serif", serif; color: #262626; background: #faf9f6; max-width: 60rem;
  margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.9rem; margin-bottom: .2rem; } h2 { margin-top: 2.4rem; font-size: 1.3rem; }
table { border-collapse: collapse; } th, td { padding: .35rem 1rem; text-align: right; border-bottom: 1px solid #ddd; }
th:first-child, td:first-child { text-align: left; } .good { color: #1b6e3c; font-weight: bold; }
img { max-width: 100%; } figure { margin: 1rem 0; } figcaption, .faint { color: #605e5a; font-size: .9rem; }
code { background: #eeece6; padding: .1rem .3rem; }
.two { display: grid; grid-template-columns: 1fr 1fr; gap: 1rem; } @media print { body { background: white; } }
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
    out = path.parent
    count = config.pictures_per_score
    body = f"""
<h1>scumble: what two LoRAs learnt</h1>
<p class="faint">Made by <code>scumble demo --seed {config.seed}</code> in {seconds:.0f} seconds on a CPU, offline.</p>
<p>The base model in the box was made from real handwriting of the digits zero to eight; it never saw a nine. Two LoRAs
were trained on 24 pictures each, in folders like a person's own: <b>concept</b> (the nine, with pictures of the old
digits that the base drew beside it, so that they are not forgotten) and <b>style</b> (old digits striped white on
dark). <b>Both</b> adds the two, at full strength.</p>
<h2>What the judge sees</h2>
{_table(marks)}
<p class="faint">A small network that learnt from other handwriting looked at {count} pictures for each figure: asked for a
nine, is it a nine; asked for a zero to eight, is it that; asked for any digit in the style, is it striped, white and on
dark. Style and both are asked for everything in the style's words, base and concept for digits in ink on paper. {SAMPLER}, {STEPS} steps, guidance
{GUIDANCE_SCALE:g}.</p>
<h2>Side by side</h2>
{_figure(files["side by side"], "Each column has one prompt and one noise; only the LoRAs differ.")}
<h2>From noise to picture</h2>
{_figure(files["reverse process"], "Twenty moments of the reverse process.")}
<p>Folded into the weights, the LoRAs draw the same pictures: the largest difference of a pixel is {255 * error:.0f} of 255.</p>
<h2>What they learnt from</h2>
<div class="two">
{_figure(out / "concept" / "sheet.png", "concept: the person's pictures")}
{_figure(out / "style" / "sheet.png", "style: the person's pictures")}
{_figure(out / "concept" / "curves.png", "concept: loss")}
{_figure(out / "style" / "curves.png", "style: loss")}
</div>
<h2>The files</h2>
<ul>{"".join(f"<li>{escape(what)}: <code>{escape(file.relative_to(out).as_posix())}</code></li>" for what, file in files.items())}</ul>
"""
    page = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>scumble demo</title>'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style></head><body>{body}</body></html>\n'
    )
    write_atomically(path, page.encode())


def _table(marks: Mapping[str, Marks]) -> str:
    heads = "".join(f"<th>{head}</th>" for head in ("variant", *HEADS.values()))
    rows = "".join(f"<tr><td>{name}</td>{_cells(mark)}</tr>" for name, mark in marks.items())
    return f"<table><tr>{heads}</tr>{rows}</table>"


def _cells(mark: Marks) -> str:
    values = asdict(mark)
    return "".join(f"<td{' class=good' if values[key] >= 0.9 else ''}>{100 * values[key]:.1f} %</td>" for key in HEADS)


def _figure(image: Path, caption: str) -> str:
    data = base64.b64encode(image.read_bytes()).decode()
    return f'<figure><img alt="{escape(caption)}" src="data:image/png;base64,{data}"><figcaption>{escape(caption)}</figcaption></figure>'

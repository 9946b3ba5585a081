"""Pages for people: one HTML file that holds its pictures, opens offline, prints well, and is dark where the reader is.

What stands here serves every page of the program; what one page alone needs stands with it, as further style and parts.
"""

import base64
import tempfile
from collections.abc import Iterable, Sequence
from html import escape
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from scumble.errors import ConfigError

if TYPE_CHECKING:
    from PIL import Image

JPEG_QUALITY = 82

STYLE = """
:root { --ink: #262626; --faint: #605e5a; --paper: #faf9f6; --card: #ffffff; --line: #dddad2; --good: #1b6e3c;
  --bad: #a3271b; --warn: #8a5a00; --bar: #b9c9bf; color-scheme: light dark; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8e6e1; --faint: #a5a29b; --paper: #1b1a18; --card: #262522;
  --line: #403e39; --good: #7cc79a; --bad: #f0938a; --warn: #e2b866; --bar: #4a5f52; } }
* { box-sizing: border-box; }
body { font: 16px/1.5 Georgia, "Noto Serif", "Noto Serif CJK SC", serif; color: var(--ink); background: var(--paper);
  max-width: 76rem; margin: 2rem auto; padding: 0 1.2rem; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0; overflow-wrap: anywhere; }
h2 { margin: 2.4rem 0 .8rem; font-size: 1.3rem; border-bottom: 1px solid var(--line); padding-bottom: .2rem; }
h3 { margin: 1.4rem 0 .4rem; font-size: 1rem; } p { margin: .4rem 0; } ul { margin: .4rem 0; padding-left: 1.2rem; }
header { display: flex; gap: 1rem; align-items: baseline; flex-wrap: wrap; }
.verdict { font-weight: bold; padding: .1rem .7rem; border: 2px solid; border-radius: 1rem; white-space: nowrap; }
.good { color: var(--good); } .bad { color: var(--bad); } .warn { color: var(--warn); }
.faint { color: var(--faint); font-size: .9rem; } .file { font: .8rem/1.4 ui-monospace, monospace; color: var(--faint);
  overflow-wrap: anywhere; }
code { font: .88em/1.4 ui-monospace, monospace; background: var(--card); border: 1px solid var(--line); border-radius: .2rem;
  padding: 0 .25rem; overflow-wrap: anywhere; }
pre { background: var(--card); border: 1px solid var(--line); border-radius: .4rem; padding: .6rem .9rem; overflow-x: auto; }
pre code { border: 0; padding: 0; background: none; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(9rem, 1fr)); gap: .8rem; margin: 1.2rem 0; }
.tiles div { background: var(--card); border: 1px solid var(--line); border-radius: .4rem; padding: .6rem .9rem; }
.tiles b { display: block; font-size: 1.35rem; line-height: 1.3; white-space: nowrap; font-variant-numeric: tabular-nums; }
.wide { overflow-x: auto; } .wide td, .wide th { white-space: nowrap; }
table { border-collapse: collapse; max-width: 100%; } th { font-weight: normal; color: var(--faint); text-align: left; }
th, td { padding: .25rem 1.2rem .25rem 0; border-bottom: 1px solid var(--line); vertical-align: middle;
  overflow-wrap: anywhere; }
.number { display: block; text-align: right; max-width: 5rem; font-variant-numeric: tabular-nums; white-space: nowrap; }
.bar { display: inline-block; height: .8rem; background: var(--bar); border-radius: .15rem; vertical-align: middle; }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(10.5rem, 1fr)); gap: .8rem; }
.cards.small { grid-template-columns: repeat(auto-fill, minmax(7.6rem, 1fr)); gap: .6rem; } .small .file { font-size: .72rem; }
figure { margin: 0; padding: .5rem; background: var(--card); border: 1px solid var(--line); border-radius: .4rem;
  break-inside: avoid; min-width: 0; }
figure img { display: block; max-width: 100%; max-height: 100%; object-fit: contain; }
figcaption { margin-top: .4rem; font-size: .85rem; line-height: 1.35; overflow-wrap: anywhere; }
@media print { :root { --ink: #262626; --faint: #605e5a; --paper: white; --card: white; --line: #dddad2; --good: #1b6e3c;
  --bad: #a3271b; --warn: #8a5a00; --bar: #b9c9bf; } body { max-width: none; margin: 0; font-size: 11pt; }
  .cards { grid-template-columns: repeat(4, 1fr); } .cards.small { grid-template-columns: repeat(6, 1fr); }
  h2 { break-after: avoid; } }
"""


def mark_of(command: str) -> str:
    """The tag by which a page of a command is known as one that may be written anew."""
    return f'<meta name="generator" content="scumble {command}">'


def html_page(title: str, body: str, command: str, style: str = "", script: str = "") -> str:
    """The whole file.

    Args:
        title: as plain text.
        body: as HTML.
        command: that writes it.
        style, script: what this page needs beyond the common style.
    """
    more = f"\n<script>\n{script}\n</script>" if script else ""
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">{mark_of(command)}<title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}{style}</style></head>\n'
        f"<body>\n{body}{more}\n</body></html>\n"
    )


def check_place(page: Path, setting: str, command: str) -> None:
    """Refuse a place for a page that is not there, cannot be written to, or holds something else.

    Args:
        page: where it is to be.
        setting: that says so, for the message.
        command: that will write it.
    Raises:
        ConfigError: says which.
    """
    folder = page.resolve().parent
    if not folder.is_dir():
        raise ConfigError(f"{setting}={page}: there is no folder {page.parent}")
    try:
        is_taken = page.exists() and (page.is_dir() or mark_of(command).encode() not in page.read_bytes()[:1000])
        with tempfile.TemporaryFile(dir=folder):  # whether a file may be made there only making one tells
            pass
    except OSError as error:
        raise ConfigError(
            f"{setting}={page}: the page cannot be written to {folder} ({error.strerror}); give --{setting} another place"
        ) from None
    if is_taken:
        raise ConfigError(f"{setting}={page}: something that {command} did not write; give --{setting} another name")


def section(title: str, *parts: str) -> str:
    """A heading and what is under it, as HTML; "" where nothing is."""
    body = "\n".join(part for part in parts if part)
    return f"<h2>{escape(title)}</h2>\n{body}\n" if body else ""


def tiles(facts: Iterable[tuple[str, str]]) -> str:
    """Large figures, each with what it counts."""
    cells = "".join(
        f'<div><b>{escape(figure)}</b><span class="faint">{escape(words)}</span></div>' for figure, words in facts
    )
    return f'<div class="tiles">{cells}</div>'


def items(texts: Sequence[str], kind: str = "") -> str:
    """A list of sentences; "" where there is none."""
    if not texts:
        return ""
    return f'<ul class="{kind}">{"".join(f"<li>{escape(text)}</li>" for text in texts)}</ul>'


def wide(table: str) -> str:
    """A table whose cells keep to one line; where the window is narrow, it moves sideways."""
    return f'<div class="wide">{table}</div>' if table else ""


def rows(heads: Sequence[str], cells: Iterable[Sequence[str]]) -> str:
    """A table whose cells are HTML already; "" where it has no row."""
    lines = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>\n" for row in cells)
    head = f"<tr>{''.join(f'<th>{escape(head)}</th>' for head in heads)}</tr>\n" if heads else ""
    return f"<table>{head}{lines}</table>" if lines else ""


def image_tag(content: bytes, kind: str, alt: str = "") -> str:
    """A picture inside the page.

    Args:
        content: the picture file.
        kind: png or jpeg.
        alt: what is said where it cannot be shown.
    """
    return f'<img alt="{escape(alt)}" src="data:image/{kind};base64,{base64.b64encode(content).decode()}">'


def thumbnail(image: "Image.Image", size_px: int) -> bytes:
    """A picture as a small JPEG file: its longer side at most `size_px`; the picture itself stays as it is."""
    from PIL import Image

    small = image.convert("RGB")
    small.thumbnail((size_px, size_px), Image.Resampling.LANCZOS)
    content = BytesIO()
    small.save(content, "JPEG", quality=JPEG_QUALITY)
    return content.getvalue()

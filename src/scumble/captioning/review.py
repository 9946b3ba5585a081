"""The review page: one HTML file with the captions beside the pictures, which opens offline and prints well."""

import base64
import re
from collections import Counter
from collections.abc import Sequence
from html import escape
from io import BytesIO
from pathlib import Path

from PIL import Image

from scumble.captioning.events import Outcome
from scumble.captioning.writable import refuse_unwritable
from scumble.data.layouts.found import is_picture
from scumble.data.names import counted, name_in, root_of
from scumble.data.pictures import USUAL, PictureRule, read_picture
from scumble.errors import ConfigError, DataError
from scumble.files.atomic import write_atomically

MOST_PICTURES = 1000
"""A page of more is slow to open; the rest is counted."""

MOST_WORDS = 40
THUMBNAIL_PX = 240
JPEG_QUALITY = 82
MARK = '<meta name="generator" content="scumble caption">'
"""By this a page is known that may be written anew."""

KINDS = {
    "failed": ("no caption", "pictures without a caption"),
    "written": ("new", "captions written now"),
    "kept": ("as it was", "captions from before"),
}
"""Kind of outcome -> what a picture is marked with, what the counts say; in the order of the page."""

STYLE = """
:root { --ink: #262626; --faint: #605e5a; --paper: #faf9f6; --card: #ffffff; --line: #dddad2; --good: #1b6e3c;
  --bad: #a3271b; color-scheme: light dark; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8e6e1; --faint: #a5a29b; --paper: #1b1a18; --card: #262522;
  --line: #403e39; --good: #7cc79a; --bad: #f0938a; } }
* { box-sizing: border-box; }
body { font: 16px/1.5 Georgia, "Noto Serif", serif; color: var(--ink); background: var(--paper); max-width: 78rem;
  margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.9rem; margin-bottom: .2rem; overflow-wrap: anywhere; } h2 { margin-top: 2.2rem; font-size: 1.3rem; }
.faint { color: var(--faint); font-size: .9rem; }
table { border-collapse: collapse; } td { padding: .2rem 1rem .2rem 0; border-bottom: 1px solid var(--line); }
td:first-child { text-align: right; font-variant-numeric: tabular-nums; }
.words { columns: 12rem; padding: 0; list-style: none; } .words li { break-inside: avoid; }
.words b { display: inline-block; min-width: 2.2rem; text-align: right; margin-right: .7rem; font-weight: normal;
  color: var(--faint); font-variant-numeric: tabular-nums; }
.pictures { display: grid; grid-template-columns: repeat(auto-fill, minmax(21rem, 1fr)); gap: 1rem; }
figure { display: flex; gap: .9rem; margin: 0; padding: .8rem; background: var(--card); border: 1px solid var(--line);
  border-radius: .4rem; break-inside: avoid; }
.thumb { flex: 0 0 8rem; } .thumb img { display: block; max-width: 100%; max-height: 12rem; margin: 0 auto; }
.none { padding: 2.5rem 0; text-align: center; border: 1px dashed var(--line); }
figcaption { min-width: 0; overflow-wrap: anywhere; } figcaption p { margin: .3rem 0 0; }
.file { font: .82rem/1.4 ui-monospace, monospace; color: var(--faint); } .written { color: var(--good); }
.failed, .failed ~ p { color: var(--bad); }
@media print { :root { --ink: #262626; --faint: #605e5a; --paper: white; --card: white; --line: #dddad2;
  --good: #1b6e3c; --bad: #a3271b; } body { max-width: none; margin: 0; } .pictures { display: block; columns: 2; }
  figure { margin-bottom: .6rem; } }
"""


def check_page(page: Path) -> None:
    """Refuse a place for the page that is no HTML file, one of somebody else's, or where nothing can be written.

    Raises:
        ConfigError: says which.
        DataError: nothing can be written there.
    """
    if page.suffix.lower() not in {".html", ".htm"}:
        raise ConfigError(f"review={page}: must end in .html")
    if not page.parent.is_dir():
        raise ConfigError(f"review={page}: there is no folder {page.parent}")
    refuse_unwritable(page.parent, f"review={page}", "; give --review another place")
    if page.exists() and MARK.encode() not in page.read_bytes()[:1000]:
        raise ConfigError(f"review={page}: a file that captioning did not write; give --review another name")


def write_page(
    page: Path, place: Path, outcomes: Sequence[Outcome], *, gives_tags: bool, rule: PictureRule = USUAL
) -> None:
    """Write the page; one that is there is replaced.

    Args:
        page: the HTML file.
        place: the folder or picture that was captioned.
        outcomes: what became of each picture.
        gives_tags: captions are tags rather than sentences.
        rule: how the pictures were read.
    Raises:
        OSError: the place cannot be written to.
    """
    order = list(KINDS)
    shown = sorted(outcomes, key=lambda outcome: order.index(outcome.kind))[:MOST_PICTURES]
    left_out = len(outcomes) - len(shown)
    root = root_of(place)
    title = f"Captions of {place.resolve().name}"
    body = f"""<h1>{escape(title)}</h1>
<p class="faint">{counted(len(outcomes), "picture")}. To change a caption, edit the text file beside its picture.</p>
{_counts(outcomes)}
<h2>{"Tags" if gives_tags else "Words"} by number of captions</h2>
{_words([outcome.text for outcome in outcomes if outcome.kind != "failed"], gives_tags)}
<h2>Pictures</h2>
{f'<p class="faint">The first {len(shown)}; {left_out} more are not shown.</p>' if left_out else ""}
<div class="pictures">
{"".join(_figure(outcome, root, rule) for outcome in shown)}</div>"""
    text = (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">{MARK}<title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style></head>\n<body>{body}</body></html>\n'
    )
    write_atomically(page, text.encode("utf-8", errors="replace"))


def _counts(outcomes: Sequence[Outcome]) -> str:
    counts: Counter[str] = Counter(outcome.kind for outcome in outcomes)
    rows = (f"<tr><td>{counts[kind]}</td><td>{words}</td></tr>" for kind, (_, words) in KINDS.items() if counts[kind])
    return f"<table>{''.join(rows)}</table>"


def _words(texts: Sequence[str], gives_tags: bool) -> str:
    """The commonest tags or words, each with the number of captions that have it."""
    counts = Counter(word for text in texts for word in dict.fromkeys(_parts(text, gives_tags)))
    rows = (f"<li><b>{count}</b>{escape(word)}</li>\n" for word, count in counts.most_common(MOST_WORDS))
    more = f'<p class="faint">and {len(counts) - MOST_WORDS} rarer ones</p>' if len(counts) > MOST_WORDS else ""
    return f'<ul class="words">\n{"".join(rows)}</ul>{more}'


def _parts(text: str, gives_tags: bool) -> list[str]:
    return [tag.strip() for tag in text.split(",")] if gives_tags else re.findall(r"[\w'-]+", text.lower())


def _figure(outcome: Outcome, root: Path, rule: PictureRule) -> str:
    mark, _ = KINDS[outcome.kind]
    return (
        f'<figure><div class="thumb">{_thumbnail(outcome.path, rule)}</div><figcaption>'
        f'<span class="file">{escape(name_in(outcome.path, root))}</span> '
        f'<span class="faint {outcome.kind}">{mark}</span><p>{escape(outcome.text)}</p></figcaption></figure>\n'
    )


def _thumbnail(path: Path, rule: PictureRule) -> str:
    try:
        if not is_picture(path):
            raise DataError("of a kind that is not read, whatever it holds")
        image = read_picture(path, rule)
    except DataError:
        return '<div class="none faint">not to be read</div>'
    image.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX), Image.Resampling.LANCZOS)
    content = BytesIO()
    image.save(content, "JPEG", quality=JPEG_QUALITY)
    return f'<img alt="" src="data:image/jpeg;base64,{base64.b64encode(content.getvalue()).decode()}">'

"""The review page: one HTML file with the captions beside the pictures, which opens offline and prints well."""

import re
from collections import Counter
from collections.abc import Sequence
from html import escape
from pathlib import Path

from scumble.captioning.events import Outcome
from scumble.captioning.writable import refuse_unwritable
from scumble.data.layouts.found import is_picture
from scumble.data.names import name_in, root_of
from scumble.data.pictures import USUAL, PictureRule, read_picture
from scumble.errors import ConfigError, DataError
from scumble.files.atomic import write_atomically
from scumble.page import html_page, image_tag, mark_of, thumbnail
from scumble.quantities import counted

MOST_PICTURES = 1000
"""A page of more is slow to open; the rest is counted."""

MOST_WORDS = 40
THUMBNAIL_PX = 240
COMMAND = "caption"
"""The command whose pages may be written anew."""

KINDS = {
    "failed": ("no caption", "pictures without a caption"),
    "written": ("new", "captions written now"),
    "kept": ("as it was", "captions from before"),
}
"""Kind of outcome -> what a picture is marked with, what the counts say; in the order of the page."""

STYLE = """
.words { columns: 12rem; padding: 0; list-style: none; } .words li { break-inside: avoid; }
.words b { display: inline-block; min-width: 2.2rem; text-align: right; margin-right: .7rem; font-weight: normal;
  color: var(--faint); font-variant-numeric: tabular-nums; }
.pictures { display: grid; grid-template-columns: repeat(auto-fill, minmax(21rem, 1fr)); gap: 1rem; }
.pictures figure { display: flex; gap: .9rem; padding: .8rem; }
.thumb { flex: 0 0 8rem; } .thumb img { max-height: 12rem; margin: 0 auto; }
.none { padding: 2.5rem 0; text-align: center; border: 1px dashed var(--line); }
figcaption { min-width: 0; margin-top: 0; } figcaption p { margin: .3rem 0 0; }
.written { color: var(--good); } .failed, .failed ~ p { color: var(--bad); }
@media print { .pictures { display: block; columns: 2; } .pictures figure { margin-bottom: .6rem; } }
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
    if page.exists() and mark_of(COMMAND).encode() not in page.read_bytes()[:1000]:
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
    text = html_page(title, body, COMMAND, STYLE)
    write_atomically(page, text.encode("utf-8", errors="replace"))


def _counts(outcomes: Sequence[Outcome]) -> str:
    counts: Counter[str] = Counter(outcome.kind for outcome in outcomes)
    rows = (
        f'<tr><td><span class="number">{counts[kind]}</span></td><td>{words}</td></tr>'
        for kind, (_, words) in KINDS.items()
        if counts[kind]
    )
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
    return image_tag(thumbnail(image, THUMBNAIL_PX), "jpeg")

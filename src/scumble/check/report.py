"""The report on a folder of pictures: the verdict, what to look at, what training would cost, and the pictures."""

from collections.abc import Iterable, Iterator, Sequence
from html import escape
from pathlib import Path

from scumble.check.events import Checked
from scumble.check.findings import Findings, Seen
from scumble.check.forecast import Forecast
from scumble.check.page import COMMAND, STYLE, figure, more
from scumble.check.words import forecast_words
from scumble.data.buckets import Size
from scumble.data.caption_lint import CaptionFindings, is_telling
from scumble.data.names import listed, name_in, root_of
from scumble.data.scan import Example
from scumble.data.thumbnails import Thumbnails
from scumble.files.atomic import write_atomically
from scumble.page import html_page, items, rows, section, tiles, wide
from scumble.quantities import counted

MOST_CARDS, MOST_GROUPS, MOST_OF_A_GROUP, MOST_ROWS, MOST_SHOWN, MOST_WORDS = 120, 60, 8, 200, 240, 60
"""Pictures to look at again, groups of duplicates, pictures of a group, rows of a table, other pictures, tags: a page of
more is slow to open."""

SHAPE_PX = 36
BAR_WIDTH = "min(14rem, 18vw)"
"""Of the longest bar, so that a narrow window has room for the figures."""


def write_page(checked: Checked, thumbnails: Thumbnails) -> None:
    """Write the page; one that is there is replaced.

    Args:
        checked: what was found.
        thumbnails: of the pictures.
    Raises:
        OSError: the place cannot be written to.
    """
    assert checked.page is not None
    title = checked.folder.resolve().name
    verdict, kind = ("usable", "good") if checked.is_usable else ("not usable", "bad")
    findings, forecast = checked.findings, checked.forecast
    body = [
        f'<header><h1>{escape(title)}</h1><span class="verdict {kind}">{verdict}</span></header>',
        f'<p class="faint">{escape(findings.scan.said)}</p>' if findings else "",
        tiles(_facts(findings)) if findings else "",
        section(
            "What to look at",
            items(checked.problems, "bad"),
            items(checked.warnings, "warn"),
            "" if checked.problems or checked.warnings else '<p class="good">Nothing: it is all in order.</p>',
        ),
        section(
            "What was put in order",
            items([f"{act.kind}: {name_in(act.path, root_of(checked.folder))}: {act.reason}" for act in checked.acts]),
        ),
        section("Left out", _left_out(findings, root_of(findings.scan.folder))) if findings else "",
        section("The training", _training(forecast) if forecast else f"<p>{escape(checked.no_forecast)}</p>"),
        *(_sections(findings, forecast, thumbnails) if findings else ()),
    ]
    text = html_page(f"{title}: checked", "\n".join(part for part in body if part), COMMAND, STYLE)
    write_atomically(checked.page, text.encode("utf-8", "replace"))


def _sections(findings: Findings, forecast: Forecast | None, thumbnails: Thumbnails) -> Iterator[str]:
    root = root_of(findings.scan.folder)
    yield section("Sizes", _buckets(findings, forecast))
    yield section("Pictures to look at again", _again(findings, thumbnails, root))
    yield section("Duplicates", _duplicates(findings, thumbnails, root))
    yield section("Captions", *_captions(findings, root))
    yield section("The pictures", _others(findings, thumbnails, root))


def _facts(findings: Findings) -> Iterator[tuple[str, str]]:
    sides = [side for seen in findings.seen for side in seen.example.size_px]
    yield _fact(len(findings.seen), "picture")
    yield f"{len(findings.rejected):,}", "left out"
    if sides:
        yield f"{min(sides)}–{max(sides)}" if min(sides) < max(sides) else f"{sides[0]}", "pixels a side"
    yield f"{sum(bool(seen.hints) for seen in findings.seen):,}", "to look at again"
    yield _fact(len(findings.equal) + len(findings.alike), "group of duplicates", "groups of duplicates")
    yield f"{len(findings.captions.missing):,}", "without caption"
    if findings.masked is not None:
        yield f"{findings.masked:,}", "with a mask"


def _fact(number: int, what: str, several: str = "") -> tuple[str, str]:
    figure, words = counted(number, what, several).split(" ", 1)
    return figure, words


def _training(forecast: Forecast) -> str:
    cells = [[f'<span class="faint">{escape(label)}</span>', escape(text)] for label, text in forecast_words(forecast)]
    notes = [note for note in forecast.notes if note]
    return rows([], cells) + (f"<h3>Training would say</h3>{items(notes)}" if notes else "")


def _buckets(findings: Findings, forecast: Forecast | None) -> str:
    most = max((count for _, count in findings.buckets), default=1)
    lines = [
        [
            _shape(size, findings.rule.resolution),
            f"{size[0]} x {size[1]}",
            _number(count),
            f'<span class="bar" style="width: calc({BAR_WIDTH} * {count / most:.3f})"></span>',
        ]
        for size, count in findings.buckets
    ]
    heads = ["", "cut to", "pictures", ""]
    if forecast is None:
        return wide(rows(heads, lines))
    planned = {bucket.size: bucket for bucket in forecast.buckets}
    for line, (size, _) in zip(lines, findings.buckets, strict=True):
        bucket = planned.get(size)
        line += [_number(bucket.pictures), _number(bucket.batches)] if bucket is not None else [_number(0), _number(0)]
    note = "Class pictures, and what is held out, are not counted among the own ones that are trained on."
    has_others = len(findings.seen) > forecast.training
    said = f'<p class="faint">{note}</p>' if has_others else ""
    return wide(rows([*heads, "trained on", "batches an epoch"], lines)) + said


def _number(number: int) -> str:
    return f'<span class="number">{number:,}</span>'


def _shape(size: Size, resolution: int) -> str:
    width, height = (SHAPE_PX * side / max(*size, resolution) for side in size)
    return f'<span class="shape" style="width: {width:.0f}px; height: {height:.0f}px"></span>'


def _again(findings: Findings, thumbnails: Thumbnails, root: Path) -> str:
    hinted = sorted((seen for seen in findings.seen if seen.hints), key=lambda seen: -len(seen.hints))
    cards = "".join(
        figure(
            seen.example, thumbnails, name_in(seen.example.path, root), *(_warning(hint.text) for hint in seen.hints)
        )
        for seen in hinted[:MOST_CARDS]
    )
    return f'<div class="cards">{cards}</div>{more(len(hinted) - MOST_CARDS, "picture")}' if cards else ""


def _warning(text: str) -> str:
    return f'<span class="warn">{escape(text)}</span>'


def _duplicates(findings: Findings, thumbnails: Thumbnails, root: Path) -> str:
    parts = [
        _groups(findings.equal, "The same bytes", thumbnails, root),
        _groups(findings.alike, "Look alike", thumbnails, root),
    ]
    return "".join(parts)


def _groups(groups: Sequence[tuple[Example, ...]], title: str, thumbnails: Thumbnails, root: Path) -> str:
    if not groups:
        return ""
    shown = "".join(f'<div class="group">{_group(group, thumbnails, root)}</div>' for group in groups[:MOST_GROUPS])
    return f"<h3>{title}</h3>{shown}{more(len(groups) - MOST_GROUPS, 'group')}"


def _group(group: Sequence[Example], thumbnails: Thumbnails, root: Path) -> str:
    figures = [
        figure(example, thumbnails, name_in(example.path, root), f"{example.size_px[0]} x {example.size_px[1]}")
        for example in group[:MOST_OF_A_GROUP]
    ]
    return "".join(figures) + more(len(group) - MOST_OF_A_GROUP, "picture")


def _captions(findings: Findings, root: Path) -> Iterator[str]:
    captions = findings.captions
    yield f"<p>{escape(', '.join(f'{count:,} {SOURCES[source]}' for source, count in captions.sources.items()))}</p>"
    yield _listed(
        "Longer than the text encoder sees",
        (_cut(cut.text, cut.unseen, cut.tokens, name_in(cut.path, root)) for cut in findings.cut),
    )
    for title, found in (("With odd signs", captions.odd), ("With a tag twice, or an empty one", captions.odd_tags)):
        yield _listed(title, (_said(odd.text, "; ".join(odd.signs), name_in(odd.path, root)) for odd in found))
    spellings = (f"<p>{escape(' = '.join(tags))}</p>" for tags in captions.spellings)
    yield _listed("Tags in several spellings", spellings)
    equal = (
        _said(caption, f"of {counted(len(paths), 'picture')}", listed(paths, root)) for caption, paths in captions.equal
    )
    yield _listed("Of several pictures each", equal)
    yield _names("Without caption", captions.missing, root)
    yield _names("Empty", captions.empty, root)
    yield _names("Without the trigger", captions.without_trigger, root)
    yield _frequencies(captions)


def _frequencies(captions: CaptionFindings) -> str:
    what = "Tags" if captions.gives_tags else "Words"
    told = [(word, count) for word, count in captions.frequencies if captions.gives_tags or is_telling(word)]
    if not told:
        return ""
    lines = "".join(f"<li><b>{count:,}</b>{escape(word)}</li>\n" for word, count in told[:MOST_WORDS])
    rest = more(len(captions.frequencies) - min(len(told), MOST_WORDS), what.lower().rstrip("s"))
    return f'<h3>{what} by number of pictures</h3><ul class="frequencies">{lines}</ul>{rest}'


SOURCES = {
    "sidecar": "from files beside the pictures",
    "table": "from a table",
    "words": "from folder names",
    "trigger": "made of the trigger",
    "given": "as given",
    "none": "missing",
}
"""Where captions come from, in words."""


def _listed(title: str, parts: Iterable[str]) -> str:
    lines = list(parts)
    shown = "".join(lines[:MOST_ROWS])
    return f"<h3>{escape(title)}</h3>{shown}{more(len(lines) - MOST_ROWS, 'caption')}" if lines else ""


def _names(title: str, paths: Sequence[Path], root: Path) -> str:
    return _listed(title, (f'<span class="file">{escape(name_in(path, root))}</span> &ensp;' for path in paths))


def _cut(text: str, unseen: str, tokens: int, name: str) -> str:
    begin = text[: len(text.rstrip()) - len(unseen)] if unseen else text
    return (
        f'<p class="caption"><span class="file">{escape(name)}</span> <span class="faint">{tokens} tokens</span><br>'
        f"{escape(begin)}<del>{escape(unseen)}</del></p>"
    )


def _said(text: str, words: str, name: str) -> str:
    return (
        f'<p class="caption"><span class="file">{escape(name)}</span> <span class="warn">{escape(words)}</span><br>'
        f"{escape(text)}</p>"
    )


def _left_out(findings: Findings, root: Path) -> str:
    cells = [
        [f'<span class="file">{escape(name_in(item.path, root))}</span>', escape(item.reason)]
        for item in findings.rejected[:MOST_ROWS]
    ]
    return rows(["file", "why"], cells) + more(len(findings.rejected) - MOST_ROWS, "file")


def _others(findings: Findings, thumbnails: Thumbnails, root: Path) -> str:
    shown = findings.seen[:MOST_SHOWN]
    cards = "".join(
        figure(seen.example, thumbnails, name_in(seen.example.path, root), *_caption(seen)) for seen in shown
    )
    left = more(len(findings.seen) - MOST_SHOWN, "picture")
    return f'<div class="cards small">{cards}</div>{left}' if cards else ""


def _caption(seen: Seen) -> list[str]:
    return [escape(caption) for caption in seen.example.captions[:1]] or ['<span class="bad">no caption</span>']

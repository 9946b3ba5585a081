"""The part of a report on what was learnt from: pictures with captions, sizes, and what was left out and why."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from html import escape

from scumble.page import rows
from scumble.quantities import counted
from scumble.report.data_sheet import DataSheet, Trained
from scumble.report.facts import Facts
from scumble.report.shown import card, cards, picture, picture_file

MOST_PICTURES, MOST_ROWS = 60, 200
THUMBNAIL_PX, SHEET_PX = 150, 1100


def data_section(facts: Facts) -> Iterator[str]:
    """Its parts as HTML."""
    sheet = facts.sheet
    if sheet is None:
        yield _old_sheet(facts)
        return
    held_out = sum(each.is_held_out for each in sheet.pictures)
    yield f"<p><code>{escape(sheet.folder)}</code>: {escape(sheet.said)}.</p>"
    yield (
        f"<p>{counted(len(sheet.pictures), 'picture')}, {held_out} held out for the validation loss, "
        f"{len(sheet.rejected)} left out.</p>"
    )
    yield _left_out(sheet)
    yield _buckets(sheet)
    yield from _pictures(sheet, facts)
    yield f'<p class="file">pictures and captions, SHA-256: {escape(sheet.fingerprint)}</p>'


def _left_out(sheet: DataSheet) -> str:
    lines = [
        [f'<span class="file">{escape(name)}</span>', escape(reason)]
        for name, reason in list(sheet.rejected.items())[:MOST_ROWS]
    ]
    return ("<h3>Left out</h3>" + rows(["file", "why"], lines)) if lines else ""


def _buckets(sheet: DataSheet) -> str:
    most = max((count for _, count in sheet.buckets), default=1)
    lines = [
        [
            f"{width} x {height}",
            f'<span class="number">{count:,}</span>',
            f'<span class="bar" style="width: calc(min(14rem, 30vw) * {count / most:.3f})"></span>',
        ]
        for (width, height), count in sheet.buckets
    ]
    return "<h3>Cut to</h3>" + rows(["size in pixels", "pictures", ""], lines)


def _pictures(sheet: DataSheet, facts: Facts) -> Iterator[str]:
    shown = sheet.pictures[:MOST_PICTURES]
    with ThreadPoolExecutor(os.cpu_count()) as threads:  # decoding runs outside Python's lock
        images = list(threads.map(_image, shown))
    yield "<h3>The pictures</h3>"
    if not any(images):
        yield '<p class="faint">The picture files are not where they were, or have changed since: here is the sheet of the run.</p>'
        yield _old_sheet(facts)
        yield cards([card("", *_words(each)) for each in shown], "cards small")
    else:
        yield cards(
            [
                card(image or '<span class="faint">not there any more</span>', *_words(each))
                for each, image in zip(shown, images, strict=True)
            ],
            "cards small",
        )
    more = len(sheet.pictures) - len(shown)
    if more > 0:
        yield f'<p class="faint">{counted(more, "more picture is", "more pictures are")} not shown here; --json lists all.</p>'


def _image(trained: Trained) -> str:
    """A picture as HTML; "" where it is not there any more, or another."""
    image = trained.image()
    return "" if image is None else picture(image, THUMBNAIL_PX, trained.name)


def _words(trained: Trained) -> Iterator[str]:
    first = trained.captions[0] if trained.captions else ""
    yield f'<span class="file">{escape(trained.name)}</span>'
    yield escape(first) or '<span class="faint">(empty caption)</span>'
    others = len(trained.captions) - 1
    notes = [
        *(["held out"] if trained.is_held_out else []),
        *(["with a mask"] if trained.is_masked else []),
        *([f"seen {trained.repeats} times an epoch"] if trained.repeats > 1 else []),
        *([f"and {counted(others, 'other caption')}"] if others > 0 else []),
    ]
    yield f'<span class="warn">{escape(", ".join(notes))}</span>' if notes else ""


def _old_sheet(facts: Facts) -> str:
    """The run's own picture of its pictures: of a run that kept no data sheet there is no more."""
    sheet = facts.told.folder.sheet
    said = (
        '<p class="faint">This run kept no list of its pictures; what was left out, and the sizes, are not known.</p>'
    )
    note = said if facts.sheet is None else ""
    if not sheet.is_file():
        return note + '<p class="faint">Nor is there a sheet of them.</p>'
    return f'{note}<figure class="whole">{picture_file(sheet, SHEET_PX, "the training pictures with their captions")}</figure>'

"""The part of a report on the settings: those that were chosen, and foldable all of them."""

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from scumble.page import rows
from scumble.report.facts import Facts
from scumble.report.told import Values


def settings_section(facts: Facts) -> Iterator[str]:
    """Its parts as HTML."""
    told = facts.told
    given = told.given
    if given is None:
        yield '<p class="faint">This run did not keep which settings were asked for; below are all.</p>'
    elif lines := _lines(given):
        yield rows(["asked for", "", ""], lines)
    else:
        yield "<p>None was asked for but the usual.</p>"
    card = told.start.get("card")
    if isinstance(card, Mapping):
        yield "<h3>What was made of them</h3>"
        yield rows([], [[_label(str(label)), escape(str(text))] for label, text in card.items()])
    for name, section in told.settings.items():
        table = rows(["", ""], [[_label(key), _value(value)] for key, value in section.items()])
        yield f"<details><summary>[{escape(name)}], all {len(section)} settings</summary>{table}</details>"
    if not told.settings:
        yield '<p class="bad">config.toml cannot be read, so the settings are not known.</p>'


def _lines(values: Values) -> list[list[str]]:
    return [
        [f'<span class="faint">{escape(section)}</span>', _label(name), _value(value)]
        for section, settings in values.items()
        for name, value in settings.items()
    ]


def _label(text: str) -> str:
    return f'<span class="label">{escape(text)}</span>'


def _value(value: Any) -> str:
    """As in the file of settings, but each of several prompts on a line of its own."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return "<br>".join(escape(str(each)) for each in value) or '<span class="faint">none</span>'
    if isinstance(value, float):
        return f"{value:g}"
    return "<br>".join(escape(part.strip()) for part in str(value).split("|"))

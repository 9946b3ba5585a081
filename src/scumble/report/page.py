"""The report as one HTML file: what it says first, in which order, and how it looks."""

from collections.abc import Iterator, Sequence
from html import escape

from scumble.page import html_page, items, section, tiles
from scumble.quantities import amount, duration
from scumble.report.curves import SCRIPT, curves
from scumble.report.curves import STYLE as CURVES_STYLE
from scumble.report.data_section import data_section
from scumble.report.drawn import Pair
from scumble.report.facts import Facts
from scumble.report.file_section import (
    files_section,
    machine_section,
    next_section,
    use_section,
    verification_section,
)
from scumble.report.sample_section import before_and_after, nearest_pictures, samples_over_time
from scumble.report.settings_section import settings_section

COMMAND = "report"
"""The command whose pages may be written anew."""

STYLE = f"""
.plain {{ color: var(--faint); }} .label {{ color: var(--faint); white-space: nowrap; }}
.said td {{ vertical-align: top; padding: .5rem 1.2rem .5rem 0; }} .said td:first-child {{ white-space: nowrap; }}
.amount {{ white-space: nowrap; font-variant-numeric: tabular-nums; }}
pre {{ white-space: pre-wrap; overflow-wrap: anywhere; }} .sharp img {{ image-rendering: pixelated; }} figure .frame img {{ width: 100%; }}
figcaption .words {{ display: block; }} .whole img {{ width: 100%; }}
div.over {{ overflow-x: auto; }} table.over {{ table-layout: fixed; }}
table.over td {{ padding: 0 .35rem .5rem 0; border: 0; }} table.over th {{ white-space: normal; border: 0; padding: .5rem .3rem .2rem 0; }}
table.over td img {{ display: block; width: 100%; }} table.over tbody {{ break-inside: avoid; }}
table.over tbody th {{ color: var(--ink); }}
.pairs {{ display: grid; grid-template-columns: repeat(auto-fill, minmax(19rem, 1fr)); gap: .8rem; }}
.pairs.small {{ grid-template-columns: repeat(auto-fill, minmax(12rem, 1fr)); }}
.two {{ display: grid; grid-template-columns: 1fr 1fr; gap: .4rem; align-items: start; }} .two img {{ width: 100%; }}
details {{ margin: .3rem 0; }} summary {{ cursor: pointer; color: var(--faint); }}
@media (max-width: 600px) {{ .said td {{ display: block; padding: .2rem 0; border: 0; }} .said td:last-child {{
  border-bottom: 1px solid var(--line); padding-bottom: .6rem; }} .pairs {{ grid-template-columns: 1fr; }} table.over {{ min-width: 150%; }}
  .pairs.small {{ grid-template-columns: 1fr 1fr; }} }}
@media print {{ .pairs {{ grid-template-columns: 1fr 1fr; }} .pairs.small {{ grid-template-columns: repeat(3, 1fr); }}
  table.over {{ min-width: 0; }} .wide, div.over {{ overflow: visible; }} .wide td, .wide th {{ white-space: normal; }}
  pre, .chart, table, tr {{ break-inside: avoid; }} h3, h2 + p {{ break-after: avoid; }} table.over {{ break-inside: auto; }} }}
@page {{ size: A4; margin: 1.6cm; }}
{CURVES_STYLE}"""


def page_of(facts: Facts, drawn: Sequence[Pair] = ()) -> str:
    """The whole file.

    Args:
        facts: what it says.
        drawn: pictures that were drawn for it.
    """
    body = [_head(facts), *_sections(facts, drawn)]
    return html_page(f"{facts.told.run.name}: report", "\n".join(part for part in body if part), COMMAND, STYLE, SCRIPT)


def _head(facts: Facts) -> str:
    told, verdict = facts.told, facts.verdict
    kind = verdict.kind if verdict.kind != "plain" else "faint"
    steps = (
        f"{told.run.step:,}"
        if told.run.num_steps in (None, told.run.step)
        else f"{told.run.step:,} of {told.run.num_steps:,}"
    )
    said = f"{_adapter(facts)} on {told.run.base or 'an unknown base'}, {steps} steps, {told.run.state}"
    return (
        f'<header><h1>{escape(told.run.name)}</h1><span class="verdict {kind}">{escape(verdict.word)}</span></header>\n'
        f'<p class="faint">{escape(said)}</p>\n'
    )


def _adapter(facts: Facts) -> str:
    told = facts.told
    rank = told.setting("adapter", "rank")
    return f"{told.run.algorithm or 'adapter'}{'' if rank is None else f' of rank {rank}'}"


def _sections(facts: Facts, drawn: Sequence[Pair]) -> Iterator[str]:
    told, samples = facts.told, facts.samples
    yield section(
        "What it learnt", _verdict(facts), tiles(_figures(facts)), items(told.warnings, "warn"), _problems(facts)
    )
    yield section("Before and after", *before_and_after(samples, drawn))
    yield section("Samples over time", *samples_over_time(samples)) if samples.rows or samples.sheets else ""
    yield section("Nearest training pictures", *nearest_pictures(samples))
    yield section("Curves", curves(told))
    yield section("How to use it", *use_section(facts))
    yield section("How to go on", next_section(facts))
    yield section("What programs make of the file", *verification_section(facts))
    yield section("What it learnt from", *data_section(facts))
    yield section("Settings", *settings_section(facts))
    yield section("Files", *files_section(facts))
    yield section("Machine, versions, time and memory", machine_section(told))


def _verdict(facts: Facts) -> str:
    lines = "".join(
        f'<tr><td><span class="faint">{escape(each.about)}</span></td><td><span class="{each.kind}">{escape(each.words)}'
        "</span></td></tr>\n"
        for each in facts.verdict.statements
    )
    return f'<table class="said">{lines}</table>'


def _figures(facts: Facts) -> Iterator[tuple[str, str]]:
    told = facts.told
    best, validations = told.course.best, told.course.validations
    if best is not None and len(validations) > 1:
        yield (
            f"{best.loss:.4f}",
            f"lowest loss, {best.loss / validations[0].loss - 1:+.1%}" if validations[0].loss else "",
        )
    yield f"{told.run.step:,}", "optimizer steps"
    if facts.sheet is not None:
        yield f"{len(facts.sheet.pictures):,}", "pictures"
    if facts.chosen is not None:
        yield amount(told.run.loras.get(facts.chosen.name, 0)), "the LoRA"
    if isinstance(told.start.get("trainable"), int):
        yield f"{told.start['trainable']:,}", "numbers trained"
    if told.seconds is not None:
        yield duration(told.seconds), "in all"
    if told.course.memory_bytes is not None:
        yield f"{told.course.memory_bytes / 2**30:.1f} GiB", "memory at most"


def _problems(facts: Facts) -> str:
    return items([f"not all of the run's folder can be read: {each}" for each in facts.told.run.problems], "bad")

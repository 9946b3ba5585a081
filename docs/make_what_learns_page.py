"""Writes docs/what-learns.md from the newest result of bench/what_learns.py."""

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parent / "what-learns.md"
RESULTS = Path(__file__).parents[1] / "bench" / "results"
LEARNT = 0.5
"""Share of nines from which on the concept counts as learnt; the base draws none."""

HEAD = """# What learns

Every optimizer, schedule, objective and algorithm was given the same task, once: the model in the box, which knows the digits
from zero to eight, is to learn the nine from 24 pictures, without forgetting what it knows. A row is a run with the settings
of the demonstration's concept in 120 steps instead of 400, but for what the row is about. Rate and decay are the
demonstration's, which suit AdamW; optimizers that they do not suit have their own, in the last column.

The judge, a small classifier of real handwriting, marks the drawings: *nine* is the share of pictures of a nine in which it
sees one (the base: 0), *old* that of the other digits (the base: 1). With 45 pictures a mark has a standard error of up to
0.07, so that a difference of 0.1 between two rows says nothing.
"""
TITLES = {
    "optimizer": "Optimizers",
    "schedule": "Schedules of the rate",
    "objective": "Objectives",
    "algorithm": "Algorithms",
}


def newest() -> dict[str, Any]:
    """The last measurement."""
    result: dict[str, Any] = json.loads(max(RESULTS.glob("*-what-learns.json")).read_text(encoding="utf-8"))
    return result


def lines(result: Mapping[str, Any]) -> Iterator[str]:
    """Of the page."""
    yield from HEAD.splitlines()
    for kind, title in TITLES.items():
        yield from ("", f"## {title}", "", f"| {kind} | nine | old | settings |", "|---|---:|---:|---|")
        for row in result["rows"]:
            if row["kind"] == kind:
                nine = f"{row['nine']:.2f}" if row["nine"] >= LEARNT else f"**{row['nine']:.2f}**"
                yield f"| {row['name']} | {nine} | {row['old']:.2f} | {_settings(row['settings'])} |"
    short = [row for row in result["rows"] if row["nine"] < LEARNT]
    yield ""
    if short:
        yield f"Below {LEARNT:g}, in bold: " + ", ".join(f"{row['kind']} {row['name']}" for row in short) + "."
    else:
        yield f"Each of them learnt the nine (at least {LEARNT:g})."
    yield ""
    versions = ", ".join(f"{name} {number}" for name, number in result["versions"].items())
    yield f"Measured on {result['date']} by `{result['command']}`: {result['hardware']}; {versions}."


def _settings(values: Mapping[str, Mapping[str, Any]]) -> str:
    found = [f"`{name} = {_toml(value)}`" for group in values.values() for name, value in group.items()]
    return ", ".join(found) or "the demonstration's"


def _toml(value: object) -> str:
    return "none" if value is None else json.dumps(value)


def page() -> str:
    """The page as it should be."""
    return "\n".join(lines(newest())) + "\n"


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(), encoding="utf-8", newline="\n")
    print(f"wrote {PAGE}", file=sys.stderr)  # noqa: T201


if __name__ == "__main__":
    main()

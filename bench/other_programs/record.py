"""The figures as a table for people and as a dated file for programs."""

import datetime
import json
import os
import platform
from collections import Counter
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

Row = dict[str, Any]
RESULTS = Path(__file__).parents[1] / "results"
RIGHT = 1e-4
"""A distance below this counts as the exact change."""


def as_table(rows: Iterable[Row]) -> str:
    """Markdown: for each family its cases, and a column for each program."""
    rows = list(rows)
    programs = list(dict.fromkeys(row["program"] for row in rows))
    cells = {(row["family"], row["case"], row["program"]): _cell(row) for row in rows}
    parts = []
    for family in dict.fromkeys(row["family"] for row in rows):
        cases = dict.fromkeys(row["case"] for row in rows if row["family"] == family)
        parts += [f"## {family}", "", f"| file | {' | '.join(programs)} |", "|---" * (len(programs) + 1) + "|"]
        parts += [f"| {case} | {' | '.join(cells[family, case, each] for each in programs)} |" for case in cases]
        parts.append("")
    return "\n".join([*parts, *agreement(rows)])


def _cell(row: Row) -> str:
    """As trained, refused, or how many layers at which distance; and a mark where our statement is another."""
    changed, _, in_file = row["applied"].partition("/")
    if row["distance"] < RIGHT:
        words = "exact"
    elif row["error"]:
        words = f"refused: {row['error'].partition(':')[0]}"
    elif changed == "0":
        words = "nothing"
    else:
        words = f"{row['applied']}, {row['distance']:g} off" if changed != in_file else f"{row['distance']:g} off"
    return words + " ✗" * (row["agrees"] is False)


def agreement(rows: list[Row]) -> list[str]:
    """One line a program: of how many files our statement is what it did; and one for each other file."""
    counts: dict[str, Counter[bool]] = {}
    for row in rows:
        if row["agrees"] is not None:
            counts.setdefault(row["program"], Counter())[row["agrees"]] += 1
    lines = [f"- {program}: as stated in {each[True]} of {each.total()} files" for program, each in counts.items()]
    return lines + [f"- ✗ {_difference(row)}" for row in rows if row["agrees"] is False]


def _difference(row: Row) -> str:
    """Which file, and both sides."""
    stated = row["statement"]
    ours = stated if isinstance(stated, str) else f"{stated['applied']}, {stated['distance']:g} off"
    did = f"{row['applied']}, {row['distance']:g} off" + (f" ({row['error']})" if row["error"] else "")
    return f"{row['family']}, {row['case']}: {row['program']} {did}; stated: {ours}"


def write_results(rows: list[Row], versions: Mapping[str, Mapping[str, str]], missing: list[str]) -> None:
    """Write bench/results/<date>-other-programs.json and .md."""
    head = {
        "date": datetime.date.today().isoformat(),
        "command": "python bench/other_programs --a1111 CHECKOUT --comfyui CHECKOUT --sd-scripts CHECKOUT "
        "--sd-scripts-packages FOLDER --packages FOLDER",
        "hardware": f"{os.cpu_count()} cores, {platform.processor() or platform.machine()}",
        "versions": {
            **{program: dict(own) for program, own in versions.items()},
            **dict.fromkeys(missing, "missing: no checkout was given"),
            "python": platform.python_version(),
            "torch": version("torch"),
        },
    }
    # a line for each file that was read: the record stays readable, and so do its differences
    lines = ",\n".join(f"  {json.dumps(each, ensure_ascii=False)}" for each in _by_file(rows))
    opened = json.dumps(head, indent=1, ensure_ascii=False).removesuffix("\n}")
    place = RESULTS / f"{head['date']}-other-programs.json"
    place.write_text(f'{opened},\n "files": [\n{lines}\n ]\n}}\n', encoding="utf-8")
    place.with_suffix(".md").write_text(_page(head, rows), encoding="utf-8")


def _by_file(rows: Iterable[Row]) -> list[Row]:
    """One record a file: what each program did with it."""
    files: dict[tuple[str, str], Row] = {}
    for row in rows:
        name = {"family": row["family"], "case": row["case"]}
        programs = files.setdefault((row["family"], row["case"]), {**name, "programs": {}})["programs"]
        programs[row["program"]] = {key: row[key] for key in row if key not in ("family", "case", "program")}
    return list(files.values())


def _page(head: Mapping[str, Any], rows: list[Row]) -> str:
    versions = [
        f"- {program}: {own if isinstance(own, str) else ', '.join(f'{name} {each}' for name, each in own.items())}"
        for program, own in head["versions"].items()
    ]
    return "\n".join(
        [
            f"# What other programs make of LoRA files, {head['date']}",
            "",
            "Each program's own code on small files for narrow bases, in float32, at strength 1. exact: the change that the",
            "file means, by the published formulas. 4/6, 0.78 off: 4 of 6 layers changed, and |applied - exact| / |exact|",
            "over all layers is 0.78. nothing: no layer changed, and no error. ✗: scumble verify states something else.",
            "LyCORIS runs without TimestepEmbedding in its list of classes: as it is, 4.1.3 refuses every file of the first family.",
            "merged and run are two ways of one program: into the weights, or beside the layers.",
            "",
            f"`{head['command']}`",
            "",
            *versions,
            "",
            as_table(rows),
            "",
        ]
    )

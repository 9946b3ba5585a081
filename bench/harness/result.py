"""A dated result: JSON for programs, Markdown for people, and the plot that was drawn for it."""

import datetime
import json
import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

from .machine import hardware, load_now
from .turns import Spread

RESULTS = Path(__file__).parents[1] / "results"


@dataclass(frozen=True)
class Goal:
    """A bound that was set before measuring.

    Attributes:
        what: in words, with its unit.
        limit: the bound.
        measured: the value; None = it was not measured here, and `why` says why.
        spread: half of the distance between the quartiles; a bound counts as met within it.
        at_least: the value is to be above the bound, not below.
        why: explanation of a goal that was not met, or not measured.
    """

    what: str
    limit: float
    measured: float | None
    spread: float = 0.0
    at_least: bool = False
    why: str = ""

    @classmethod
    def of(cls, what: str, limit: float, value: Spread, at_least: bool = False, why: str = "") -> Self:
        """Of a median with its quartiles."""
        return cls(what, limit, value.median, (value.high - value.low) / 2, at_least, why)

    @property
    def verdict(self) -> str:
        """In a word or two."""
        if self.measured is None:
            return "not measured"
        over = self.limit - self.measured if self.at_least else self.measured - self.limit
        if over <= 0:
            return "met"
        return "met within the spread" if over <= self.spread else "not met"


@dataclass
class Result:
    """One bench, once.

    Attributes:
        name: of its files, such as step-mini.
        question: that it answers.
        rows: of the table; every row has the same columns or leaves some out.
        goals: that it speaks about.
        notes: anything a reader must know, one sentence each.
        versions: package -> version.
        threads: that were used, where that was chosen.
        more: figures that the table has no room for.
    """

    name: str
    question: str
    rows: list[dict[str, Any]]
    goals: Sequence[Goal] = ()
    notes: Sequence[str] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    threads: int | None = None
    more: Mapping[str, Any] = field(default_factory=dict)

    def write(self, folder: Path = RESULTS) -> Path:
        """Write NAME.json and NAME.md with today's date in front, print the table; answers the path of the JSON."""
        date = datetime.date.today().isoformat()
        head = {
            "date": date,
            "question": self.question,
            "command": _command(),
            "hardware": hardware(self.threads),
            "load at the end": load_now(),
            "versions": dict(self.versions),
        }
        goals = [{**asdict(goal), "verdict": goal.verdict} for goal in self.goals]
        whole = {**head, "goals": goals, "notes": list(self.notes), "rows": self.rows, **self.more}
        path = folder / f"{date}-{self.name}.json"
        path.write_text(json.dumps(whole, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        text = self._page(head, goals)
        path.with_suffix(".md").write_text(text, encoding="utf-8")
        print(f"\n{text}\n{path}")
        return path

    def _page(self, head: Mapping[str, Any], goals: Sequence[Mapping[str, Any]]) -> str:
        versions = ", ".join(f"{name} {number}" for name, number in self.versions.items())
        parts = [
            f"# {self.question}",
            f"{head['date']}; {head['hardware']}; {versions}; load at the end {head['load at the end']}.",
            f"    {head['command']}",
            *([table(self.rows)] if self.rows else []),
        ]
        if self.goals:
            parts.append(
                table(
                    [
                        {
                            "goal": goal.what,
                            "bound": f"{'>=' if goal.at_least else '<='} {goal.limit:g}",
                            "measured": "-" if goal.measured is None else f"{goal.measured:.3g}",
                            "": said,
                        }
                        for goal, said in zip(self.goals, verdicts(goals), strict=True)
                    ]
                )
            )
        if (RESULTS / f"{head['date']}-{self.name}.png").exists():
            parts.append(f"![{self.question}]({head['date']}-{self.name}.png)")
        parts += [f"- {note}" for note in self.notes]
        return "\n\n".join(parts) + "\n"


def verdicts(goals: Sequence[Mapping[str, Any]]) -> list[str]:
    """What each goal's row says at its end; a reason that has been given once is not given again.

    Args:
        goals: as they stand in a result's JSON.
    """
    said, given = [], set()
    for goal in goals:
        why = "" if goal["verdict"].startswith("met") else goal.get("why", "")
        said.append(goal["verdict"] + (": as above" if why in given else f": {why}" if why else ""))
        given.update([why] if why else [])
    return said


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows as a Markdown table; the columns in the order in which they first come."""
    columns = list(dict.fromkeys(column for row in rows for column in row))
    lines = ["| " + " | ".join(columns) + " |", "|" + " --- |" * len(columns)]
    lines += ["| " + " | ".join(cell(row.get(column)) for column in columns) + " |" for row in rows]
    return "\n".join(lines)


def cell(value: Any) -> str:
    """A value as it stands in a table."""
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.4g}"
    return re.sub(r"([|<>*])", r"\\\1", str(value)).replace("\n", " ")


def _command() -> str:
    """As it was given, without the reasons of --why, which stand with the goals; folders are this machine's, and stay out."""
    given = [word for before, word in pairwise(sys.argv) if "--why" not in (before, word)]
    words = ["FOLDER" if "/" in word or "\\" in word else word for word in given]
    return shlex.join(["python", f"bench/{Path(sys.argv[0]).name}", *words])

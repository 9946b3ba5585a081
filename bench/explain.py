"""Why a goal was missed, said after a look at the profile: the reason goes into a result that is there, and nothing else.

    python bench/explain.py bench/results/DATE-NAME.json "all but a second of it is the same convolutions on both sides"

It is the reason of every goal in that result that is not met or was not measured, and has none yet.
"""

import argparse
import json
from pathlib import Path

from harness.command import UnusableError, run_bench
from harness.result import cell, verdicts


def explain(path: Path, why: str) -> int:
    """Write a reason into a result, in its JSON and its Markdown; answers of how many goals it is.

    Args:
        path: the JSON; its Markdown lies beside it.
        why: the reason.
    """
    values = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(values, dict) or "goals" not in values:
        raise UnusableError(f"{path}: no goals are in it")
    goals = values["goals"]
    before = verdicts(goals)
    open_goals = [goal for goal in goals if not goal["verdict"].startswith("met") and not goal["why"]]
    for goal in open_goals:
        goal["why"] = why
    page = path.with_suffix(".md")
    text = page.read_text(encoding="utf-8")
    for goal, old, new in zip(goals, before, verdicts(goals), strict=True):
        rows = [row for row in text.splitlines() if row.startswith(f"| {cell(goal['what'])} | ")]
        for row in rows:
            text = text.replace(row, row.removesuffix(f"| {cell(old)} |") + f"| {cell(new)} |" if old != new else row)
    path.write_text(json.dumps(values, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    page.write_text(text, encoding="utf-8")
    return len(open_goals)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("result", type=Path)
    parser.add_argument("why")
    options = parser.parse_args()
    print(f"{explain(options.result, options.why)} goals explained in {options.result}")


if __name__ == "__main__":
    run_bench(main)

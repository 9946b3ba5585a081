"""The page of speed is what the results say, all of them and nothing else."""

import json
import sys
from pathlib import Path

import pytest

from scripts import load_script

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def script():
    sys.path.insert(0, str(ROOT / "bench"))
    return load_script(ROOT / "docs" / "make_speed_page.py")


def write(folder, name, measured, verdict="met", **more):
    goal = {
        "what": more.pop("what", f"ratio of {name}"),
        "limit": 1.0,
        "measured": measured,
        "spread": 0.0,
        "at_least": False,
    }
    whole = {
        "date": name[:10],
        "question": f"How fast is {name[11:]}?",
        "command": "python bench/x.py",
        "hardware": "a machine",
        "goals": [{**goal, "why": more.pop("why", ""), "verdict": verdict}],
        "rows": [{"side": "scumble", "seconds": 1.23456}],
        **more,
    }
    (folder / f"{name}.json").write_text(json.dumps(whole), encoding="utf-8")


def test_the_committed_page_and_readmes_are_current(script):
    texts = {script.PAGE: script.page()} | {path: script.readme(name) for name, path in script.READMES.items()}
    for path, text in texts.items():
        assert text is None or path.read_text(encoding="utf-8") == text, f"{path.name}: run `make docs`"


def test_every_result_with_goals_is_on_the_page(script):
    page = script.page()
    results = {path: json.loads(path.read_text(encoding="utf-8")) for path in script.RESULTS.glob("*.json")}
    with_goals = [path for path, result in results.items() if result.get("goals")]
    assert with_goals
    assert all(f"## {path.stem[11:]}\n" in page for path in with_goals)


def test_the_newest_of_each_bench_counts_and_unknown_names_come_last(script, tmp_path):
    write(tmp_path, "2026-01-02-step-mini", 0.5)
    write(tmp_path, "2026-01-03-step-mini", 0.6)
    write(tmp_path, "2026-01-01-a-new-bench", 0.7)
    (tmp_path / "2026-01-04-without-goals.json").write_text("{}", encoding="utf-8")
    assert [result.name for result in script.newest(tmp_path)] == ["step-mini", "a-new-bench"]
    page = script.page(tmp_path)
    assert "| ratio of 2026-01-03-step-mini | ≤ 1 | 0.6 | met |" in page
    assert "2026-01-02-step-mini" not in page


def test_what_was_not_measured_or_not_met_stays_with_its_reason(script, tmp_path):
    write(tmp_path, "2026-01-01-gpu", None, "not measured", why="no GPU here")
    write(tmp_path, "2026-01-01-step", 1.2, "not met", why="the optimizer")
    page = script.page(tmp_path)
    assert "Of 2 goals: 1 not met, 1 not measured." in page
    assert "| - | not measured: no GPU here |" in page
    assert "| 1.2 | not met: the optimizer |" in page


def test_both_languages_tell_the_same_numbers(script, tmp_path):
    (bench, begin), names = script.IN_READMES[0]
    write(tmp_path, f"2026-01-01-{bench}", 0.8125, what=f"{begin} (one)")
    assert f"| {names['en']} | ≤ 1 | 0.812 | met |" in script.block("en", tmp_path)
    assert f"| {names['zh']} | ≤ 1 | 0.812 | 达到 |" in script.block("zh", tmp_path)
    empty = tmp_path / "empty"
    empty.mkdir()
    assert script.block("en", empty) == ""


def test_all_that_the_readmes_tell_was_measured(script):
    goals = {result.name: [goal["what"] for goal in result.whole["goals"]] for result in script.newest(script.RESULTS)}
    for (bench, begin), names in script.IN_READMES:
        assert any(what.startswith(begin) for what in goals.get(bench, [])), (bench, begin)
        assert set(names) == set(script.READMES)


def test_the_page_takes_what_the_harness_writes(script, tmp_path, capsys):
    from harness.result import Goal, Result

    goals = [Goal("a share", 0.85, 0.9, at_least=True)]
    Result("data", "How fast?", [{"a|b": 1}], goals, notes=["A note."], versions={"torch": "2"}).write(tmp_path)
    capsys.readouterr()
    page = script.page(tmp_path)
    assert "| a share | ≥ 0.85 | 0.9 | met |" in page
    assert "- A note." in page

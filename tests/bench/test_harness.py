"""What the benches measure with."""

import json
import sys
from dataclasses import replace
from itertools import pairwise

import pytest
from explain import explain
from harness.beside import rows_beside
from harness.kept import Kept
from harness.pictures import write_pictures, write_table
from harness.processes import CommandFailedError, measured
from harness.result import Goal, Result, table
from harness.turns import in_turns, ratio, spread


def test_sides_take_turns_and_follow_each_other_in_every_order():
    order = []

    def side(name, value):
        def take():
            order.append(name)
            return value

        return take

    taken = in_turns({"a": side("a", 1.0), "b": side("b", 2.0), "c": side("c", 4.0)}, rounds=11, warm_up=1)
    rounds = [order[begin : begin + 3] for begin in range(0, 36, 3)]
    assert all(sorted(each) == ["a", "b", "c"] for each in rounds)
    followed = {pair for each in rounds for pair in pairwise(each)}
    assert len(followed) == 6
    assert taken == {"a": [1.0] * 11, "b": [2.0] * 11, "c": [4.0] * 11}


def test_a_ratio_is_of_turns_that_belong_together():
    found = ratio([1.0, 10.0, 2.0], [2.0, 20.0, 4.0])
    assert (found.median, found.low, found.high) == (0.5, 0.5, 0.5)
    with pytest.raises(ValueError, match="longer"):
        ratio([1.0], [1.0, 2.0])


def test_a_spread_has_the_quartiles():
    found = spread([1.0, 2.0, 3.0, 4.0, 5.0])
    assert (found.low, found.median, found.high) == (2.0, 3.0, 4.0)
    assert spread([7.0]).median == 7.0
    assert str(spread([0.12345])) == "0.123 (0.123-0.123)"
    assert str(spread([8690.4])) == "8,690 (8,690-8,690)"


def test_a_process_is_measured_with_its_children():
    code = (
        "import subprocess, sys, time; held = bytearray(60_000_000); "
        "subprocess.run([sys.executable, '-c', 'import time; held = bytearray(80_000_000); time.sleep(0.5)'])"
    )
    spent = measured([sys.executable, "-c", code])
    assert 0.5 < spent.seconds < 30
    assert 0.14 < spent.peak_gb < 0.4


def test_a_command_that_fails_is_not_measured():
    with pytest.raises(CommandFailedError, match="no such thing"):
        measured([sys.executable, "-c", "raise SystemExit('no such thing')"])
    assert measured([sys.executable, "-c", "raise SystemExit(3)"], expected=3).seconds > 0


@pytest.mark.parametrize(
    ("goal", "verdict"),
    [
        (Goal("ratio", 1.0, 0.9), "met"),
        (Goal("ratio", 1.0, 1.02, spread=0.03), "met within the spread"),
        (Goal("ratio", 1.0, 1.1, spread=0.03), "not met"),
        (Goal("share", 0.4, 0.5, at_least=True), "met"),
        (Goal("share", 0.4, 0.3, at_least=True), "not met"),
        (Goal("share", 0.4, None), "not measured"),
    ],
)
def test_a_goal_says_whether_it_was_met(goal, verdict):
    assert goal.verdict == verdict


def test_a_result_is_written_twice(tmp_path, capsys):
    rows = [{"side": "scumble", "seconds": 1.23456}, {"side": "a|b", "ratio": 2.0}]
    path = Result("name", "How fast?", rows, goals=[Goal("ratio", 1.0, None, why="no GPU here")]).write(tmp_path)
    whole = json.loads(path.read_text())
    assert whole["rows"] == rows
    assert whole["goals"][0]["verdict"] == "not measured"
    page = path.with_suffix(".md").read_text()
    assert "| scumble | 1.235 | - |" in page
    assert "| a\\|b | - | 2 |" in page
    assert "not measured: no GPU here" in page
    assert page in capsys.readouterr().out


def test_a_reason_that_comes_later_goes_to_the_goals_that_were_missed_and_nothing_else(tmp_path):
    goals = [
        Goal("time <", 1.0, 1.2),
        Goal("memory", 1.0, 0.9),
        Goal("bytes", 1.0, 1.2, why="known"),
        Goal("rate", 1.0, 2.0),
    ]
    path = Result("name", "How fast?", [{"side": "ours"}], goals=goals).write(tmp_path)
    whole = Result(
        "name",
        "How fast?",
        [{"side": "ours"}],
        goals=[replace(goals[0], why="a | b"), *goals[1:3], replace(goals[3], why="a | b")],
    )
    assert explain(path, "a | b") == 2
    told, page = json.loads(path.read_text(encoding="utf-8")), path.with_suffix(".md").read_text(encoding="utf-8")
    (tmp_path / "again").mkdir()
    again = whole.write(tmp_path / "again")
    assert told["goals"] == json.loads(again.read_text(encoding="utf-8"))["goals"]
    of_goals = [line for line in page.splitlines() if line.startswith("|")]
    assert of_goals == [
        line for line in again.with_suffix(".md").read_text(encoding="utf-8").splitlines() if line.startswith("|")
    ]


def test_a_table_keeps_the_order_of_its_columns():
    assert table([{"b": 1}, {"a": 2, "b": 3}]).splitlines()[0] == "| b | a |"


def test_two_sides_stand_above_their_ratio():
    rows = rows_beside({"seconds": {"ours": [1.0, 2.0], "theirs": [4.0, 8.0]}}, ("ours", "theirs"), {"steps": 7})
    assert [row["side"] for row in rows] == ["ours", "theirs", "ratio"]
    assert rows[2] == {"side": "ratio", "steps": 7, "seconds": "0.25 (0.25-0.25)"}


def test_a_table_of_captions_takes_the_place_of_the_files(tmp_path):
    folder = write_pictures(tmp_path / "pictures", 2, 16)
    lines = [json.loads(line) for line in write_table(folder).read_text().splitlines()]
    assert lines[1] == {"file_name": "000001.png", "text": "a photo of sks dog 1"}
    assert sorted(path.name for path in folder.iterdir()) == ["000000.png", "000001.png", "metadata.jsonl"]


def test_what_is_kept_is_there_for_the_next_call(tmp_path):
    Kept(tmp_path / "rows.jsonl").add({"point": 1})
    again = Kept(tmp_path / "rows.jsonl")
    again.add({"point": 2})
    assert again.rows == Kept(tmp_path / "rows.jsonl").rows == [{"point": 1}, {"point": 2}]
    nowhere = Kept(None)
    nowhere.add({"point": 3})
    assert nowhere.rows == [{"point": 3}]


def test_curves_have_a_panel_for_each_unit_and_one_colour_for_each_thing(tmp_path, monkeypatch):
    from harness import plot
    from PIL import Image

    monkeypatch.setattr(plot, "RESULTS", tmp_path)
    time, memory = {"step, exponent 1.0": [(1, 2.0), (16, 32.0)]}, {"step, exponent 0.1": [(1, 900.0), (16, 950.0)]}
    narrow = Image.open(plot.curves("one", "One", "size", {"seconds": time})).width
    with Image.open(plot.curves("two", "Two", "size", {"seconds": time, "MB": memory})) as picture:
        assert picture.width == pytest.approx(2 * narrow, rel=0.01)
        halves = [picture.convert("RGB").crop((left, 0, left + narrow, picture.height)) for left in (0, narrow)]
    blue = (31, 119, 180)
    assert all(any(colour == blue for _, colour in half.getcolors(1 << 20)) for half in halves)


def test_sizes_on_an_axis_have_room_for_their_numbers():
    from harness.plot import _apart

    assert _apart([1, 2, 2.25, 4, 9, 16]) == [1, 2, 4, 9, 16]

"""What a whole run of 200 steps takes, worked out of a shorter one by its own steps."""

import json

import pytest
from end_to_end import figures
from harness.processes import Spent
from sides.trainings import OURS, THEIRS, Run, seconds_in_journal, seconds_on_bar

BAR = "\rSteps:  83%|####  | 5/6 [00:56<00:11, 11.31s/it, lr=0.0001]\rSteps: 100%|####| 6/6 [{}<00:00, 11.0s/it, lr=0.0001]\n"


@pytest.mark.parametrize(("took", "seconds"), [("00:06", 1), ("01:06", 11), ("1:00:12", 602)])
def test_a_step_of_the_script_is_read_off_its_bar(took, seconds):
    assert seconds_on_bar(f"Loading\n{BAR.format(took)}Model weights saved") == seconds


def test_a_step_of_ours_is_read_off_the_journal(tmp_path):
    events = [{"kind": "validated", "step": 0}, *({"kind": "stepped", "seconds": seconds} for seconds in (2.0, 4.0))]
    (tmp_path / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    assert seconds_in_journal(tmp_path / "events.jsonl") == 3


def test_the_steps_that_a_run_lacks_are_added_to_its_times_alone():
    runs = {(OURS, 6): [Run(Spent(100.0, 90.0, 5.0), 80.0, 3.0)], (THEIRS, 6): [Run(Spent(50.0, 48.0, 6.0), 40.0, 7.0)]}
    found = figures(runs, 6, 16)
    assert found["seconds to the file"] == {OURS: [110.0], THEIRS: [110.0]}
    assert found["seconds to the end"] == {OURS: [130.0], THEIRS: [120.0]}
    assert found["processor seconds"] == {OURS: [120.0], THEIRS: [118.0]}
    assert found["peak, GB"] == {OURS: [5.0], THEIRS: [6.0]}
    assert found["seconds a step"] == {OURS: [3.0], THEIRS: [7.0]}

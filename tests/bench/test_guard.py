"""What the guard against slowness says."""

import guard


def test_what_became_slower_is_named():
    assert guard.slower({"step": 1.19, "start": 4.9}, {"step": 1.0, "start": 4.0}) == [
        "start: 4.9, was 4; more than 1.2 times that"
    ]


def test_a_ratio_that_nobody_recorded_or_measured_is_named():
    said = guard.slower({"new": 1.0}, {"gone": 1.0})
    assert said == [
        "gone: it is in guard.json, but was not measured",
        "new: it is not in guard.json; record it with --write",
    ]

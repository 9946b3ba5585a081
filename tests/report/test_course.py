"""The course of a run from its journal, and how sure a difference of two validations is."""

import math

import pytest

from scumble.files.places import FILE_SUFFIX
from scumble.report.chart import MOST_POINTS, thinned, ticks
from scumble.report.course import Validation, course_of
from scumble.report.learnt import difference
from scumble.train.runfolder import RunFolder


@pytest.fixture
def told(tmp_path):
    return lambda *entries: course_of(RunFolder(tmp_path, "photos", FILE_SUFFIX), entries)


def step(number, loss=0.5):
    return {"kind": "stepped", "step": number, "loss": loss, "learning_rate": 1e-4, "seconds": 2.0}


def validated(number, loss):
    return {"kind": "validated", "step": number, "loss": loss, "held_out": True, "bands": [loss], "losses": [loss]}


def test_steps_that_a_kill_lost_are_replaced_by_those_done_again(told):
    course = told(
        {"kind": "started"}, validated(0, 0.9), step(1), step(2), validated(2, 0.1), step(3),
        {"kind": "started"}, step(2, 0.4), validated(2, 0.3),
    )  # fmt: skip
    assert [(each.step, each.loss) for each in course.steps] == [(1, 0.5), (2, 0.4)]
    assert [(each.step, each.loss) for each in course.validations] == [(0, 0.9), (2, 0.3)]
    assert course.gone_on == [3]
    assert course.seconds == 8.0


def test_a_run_that_went_on_without_loss_keeps_what_it_did(told):
    course = told({"kind": "started"}, step(1), step(2), {"kind": "started"}, step(3))
    assert [each.step for each in course.steps] == [1, 2, 3]


def test_a_loss_that_is_not_finite_has_no_place_on_a_curve(told):
    course = told(step(1), step(2, math.nan), validated(2, math.inf))
    assert [each.step for each in course.steps] == [1]
    assert course.best is None


def test_the_most_memory_of_all_processes_counts(told):
    course = told(
        {"kind": "validated", "step": 0, "loss": 1.0, "memory_bytes": 5}, {"kind": "stopped", "memory_bytes": 3}
    )
    assert course.memory_bytes == 5


def test_samples_that_all_fall_are_no_chance_however_far_apart_they_are():
    before = Validation(0, 0.5, losses=(0.1, 0.3, 0.6, 1.0))
    after = Validation(4, 0.45, losses=(0.06, 0.25, 0.54, 0.95))
    found = difference(before, after)
    assert found.is_sure
    assert found.share == pytest.approx(-0.1)
    assert found.num_samples == 4


def test_samples_that_rise_and_fall_may_be_chance():
    found = difference(Validation(0, 0.5, losses=(0.4, 0.5, 0.6)), Validation(4, 0.49, losses=(0.5, 0.4, 0.57)))
    assert not found.is_sure


def test_without_single_losses_nothing_is_sure():
    found = difference(Validation(0, 0.5), Validation(4, 0.1))
    assert found.errors is None
    assert not found.is_sure


def test_equal_changes_of_all_samples_are_sure():
    found = difference(Validation(0, 0.5, losses=(0.5, 0.5)), Validation(4, 0.25, losses=(0.25, 0.25)))
    assert math.isinf(found.errors)
    assert found.is_sure


def test_a_line_of_many_points_keeps_its_spikes():
    points = [(float(index), 9.0 if index == 4321 else 0.1) for index in range(10_000)]
    kept = thinned(points)
    assert len(kept) <= MOST_POINTS
    assert (4321.0, 9.0) in kept
    assert kept == sorted(kept)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0.0, 1.0, [0, 0.2, 0.4, 0.6, 0.8, 1.0]), (0, 160, [0, 50, 100, 150]), (3e-5, 1e-4, [4e-5, 6e-5, 8e-5, 1e-4])],
)
def test_ticks_are_round(low, high, expected):
    assert ticks(low, high) == pytest.approx(expected)

"""What is measured of the cells: once, with one album for all, each number with what it was computed from."""

import html
import json

import pytest
from tests.sweep.conftest import led, set_up_now

from scumble.config import from_values
from scumble.config.sweep import SweepConfig
from scumble.errors import ConfigError, MetricError
from scumble.generate.events import Noted
from scumble.generate.painter import Painter
from scumble.metrics.base import Measured
from scumble.sweep.measuring import measure_cells, measuring_of
from scumble.sweep.number_table import in_figures
from scumble.sweep.report import write_report
from scumble.sweep.run import account_of
from scumble.sweep.setup import planned_cells

MEASURED = {
    "cells": {"ranks": (2, 4), "prompts": ("a photo of sks dog",)},
    "numbers": {"metric_pictures": 2, "other_prompts": ("a street",)},
}


@pytest.fixture(autouse=True)
def few_denoising_steps(monkeypatch):
    monkeypatch.setattr("scumble.sweep.drawing.STEPS", 2)


@pytest.fixture
def drawn(monkeypatch):
    """The recipes that are drawn, as they are asked of the one painter."""
    recipes = []
    paint = Painter.paint

    def noting(self, wanted, batch_size=1):
        recipes.extend(wanted)
        return paint(self, wanted, batch_size)

    monkeypatch.setattr(Painter, "paint", noting)
    return recipes


def measured(leader):
    setup = leader.setup
    measuring = measuring_of(setup, planned_cells(setup)[0][1])
    told = list(measure_cells(setup, list(leader.records.values()), measuring))
    return account_of(leader, "4 steps", measuring), [event.text for event in told if isinstance(event, Noted)]


def test_each_cell_is_measured_once_the_base_is_drawn_once_and_all_is_reported(settings, drawn):
    leader = led(set_up_now(settings(MEASURED)))
    account, _ = measured(leader)
    assert set(account.numbers) == {"rank-2", "rank-4"}
    names = ["drift_pixels", "diversity_pixels", "nearest", "copies"]
    for cell, numbers in account.numbers.items():
        assert [number.name for number in numbers] == names
        assert all(f"with {cell} at 1" in number.computed_from for number in numbers)
    assert len(drawn) == len(set(drawn)) == 3 * 2 * 2  # base and two cells, two prompts, two seeds
    first, second = (each[1].of_base for each in account.numbers.values())
    assert first == second
    again, _ = measured(leader)
    assert again.numbers == account.numbers
    assert len(drawn) == 12
    write_report(leader.setup.folder, account)
    told = json.loads(leader.setup.folder.figures.read_bytes())["numbers"]
    page = leader.setup.folder.report.read_text(encoding="utf-8")
    for number in account.numbers["rank-2"]:
        assert f"<th>{number.name}</th>" in page
        assert html.escape(number.computed_from) in page
        assert any(each["computed_from"] == number.computed_from for each in told["rank-2"])


def test_a_cell_that_comes_later_is_measured_alone(settings, drawn):
    account, _ = measured(led(set_up_now(settings(MEASURED))))
    more, _ = measured(led(set_up_now(settings(MEASURED, {"cells": {"ranks": (2, 4, 8)}}))))
    assert len(drawn) == 12 + 2 * 2 * 2  # the base and the new cell
    assert {name: more.numbers[name] for name in account.numbers} == account.numbers
    assert len(more.numbers) == 3


def test_what_cannot_be_measured_is_said_once_and_tried_again(settings):
    leader = led(set_up_now(settings(MEASURED, {"numbers": {"metric_pictures": 1}})))
    account, notes = measured(leader)
    assert len([note for note in notes if "diversity" in note]) == 1
    assert "--metric-pictures" in account.lacking["diversity"]
    write_report(leader.setup.folder, account)
    assert "not measured: diversity" in leader.setup.folder.report.read_text(encoding="utf-8")
    assert len([note for note in measured(leader)[1] if "diversity" in note]) == 1


def test_nothing_is_measured_where_no_pictures_are_wanted(settings):
    setup = set_up_now(settings({"numbers": {"metric_pictures": 0}}))
    assert measuring_of(setup, planned_cells(setup)[0][1]).metrics == ()


@pytest.mark.parametrize(
    ("metrics", "words"),
    [
        ("judge", "the judge knows the digits"),
        ("kid,similarity", "kid, similarity cannot be measured without a network"),
    ],
)
def test_what_this_base_cannot_have_is_refused_before_training(settings, metrics, words):
    setup = set_up_now(settings(MEASURED, {"numbers": {"metrics": metrics}}))
    with pytest.raises(MetricError, match=words):
        measuring_of(setup, planned_cells(setup)[0][1])


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"numbers": {"metric_pictures": 0, "metrics": "drift"}}, "metrics would have no effect"),
        ({"numbers": {"metric_pictures": 0, "clip": "x"}}, "clip would have no effect"),
        ({"numbers": {"metrics": "nearest", "clip": "x"}}, "clip would have no effect"),
        ({"numbers": {"metrics": "validation_loss"}}, "has the validation losses"),
        ({"numbers": {"metrics": "clip_score"}}, "needs clip"),
        (
            {"numbers": {"metric_pictures": 0}, "cells": {"pictures": 0, "prompts": ("a",)}},
            "prompts would have no effect",
        ),
    ],
)
def test_settings_of_numbers_without_effect_are_refused(values, words):
    with pytest.raises(ConfigError, match=words):
        from_values(SweepConfig, values)


@pytest.mark.parametrize(
    ("value", "spread", "said"),
    [
        (0.01996, 0.0047, "0.0200 ± 0.0047"),
        (0.9368, 0.0771, "0.937 ± 0.077"),
        (123.4, 17.2, "123 ± 17"),
        (1.0, 0.0, "1 ± 0"),
        (3.25, None, "3.25"),
    ],
)
def test_a_value_has_no_more_decimals_than_its_standard_error(value, spread, said):
    assert in_figures(Measured("drift", value, "lower", "pictures", spread)) == said

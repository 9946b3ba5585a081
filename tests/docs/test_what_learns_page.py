"""The page of marks is what its bench last measured, and has a row for all that can be chosen."""

from pathlib import Path
from typing import get_args

import pytest

from scripts import load_script
from scumble.config.adapter import AdapterConfig
from scumble.config.objective import LossType
from scumble.config.optimizer import Schedule
from scumble.train.optimizers import OPTIMIZERS

ROOT = Path(__file__).parents[2]
ALGORITHMS = get_args(AdapterConfig.model_fields["algorithm"].annotation)


@pytest.fixture(scope="module")
def script():
    return load_script(ROOT / "docs" / "make_what_learns_page.py")


def test_the_page_is_current(script):
    assert script.PAGE.read_text(encoding="utf-8") == script.page()


def test_nothing_that_can_be_chosen_is_missing(script):
    rows = script.newest()["rows"]
    named = {kind: {row["name"] for row in rows if row["kind"] == kind} for kind in script.TITLES}
    assert named["optimizer"] >= set(OPTIMIZERS)
    assert named["schedule"] >= set(get_args(Schedule))
    assert {row["settings"].get("objective", {}).get("loss_type", "l2") for row in rows} == set(get_args(LossType))
    assert {row["settings"].get("adapter", {}).get("algorithm", "lora") for row in rows} == set(ALGORITHMS)


def test_all_that_is_offered_learns(script):
    assert [row["name"] for row in script.newest()["rows"] if row["nine"] < script.LEARNT] == []

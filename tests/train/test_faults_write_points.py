"""The short form of bench/faults.py: killed at some write points of a run, which ends with the same bytes all the same."""

import os
from pathlib import Path

import pytest

from scripts import load_script

SCRIPT = Path(__file__).parents[2] / "bench" / "faults.py"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the script forks")
def test_kills_at_write_points_lose_nothing(tiny_base, photos, tmp_path):
    found = load_script(SCRIPT).kill_at_write_points(tiny_base, photos, tmp_path / "work", every=41)
    assert found["write_points"] > 50
    assert found["kills"] > 2

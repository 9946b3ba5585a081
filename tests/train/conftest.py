"""What the runs of these tests have in common."""

import importlib

import pytest
from PIL import Image

from scumble.config import TrainConfig, from_values, merged


@pytest.fixture(autouse=True)
def plain_curves(monkeypatch):
    """Drawing the curves takes a fifth of a run of a few steps; tests/report and the commands' tests look at real ones."""
    saving = importlib.import_module("scumble.train.saving")
    monkeypatch.setattr(saving, "draw_curves", lambda *given: Image.new("RGB", (9, 6)))


@pytest.fixture
def common(tiny_base, photos, tmp_path):
    """Settings of a run of four steps on the tiny base, from groups of values that win one over the other.

    Unless they say otherwise, the held-out loss is measured before the first step and after the last one.
    """

    def build(*changes):
        values = {
            "model": {"base": str(tiny_base)},
            "data": {"folder": photos},
            "optimizer": {"learning_rate": 1e-2},
            "training": {"max_train_steps": 4, "device": "cpu"},
            "output": {"output_dir": tmp_path / "runs", "report_to": "none"},
        }
        for change in changes:
            values = merged(values, change)
        last = {"validation": {"validation_steps": values["training"]["max_train_steps"]}}
        return from_values(TrainConfig, merged(last, values))

    return build

"""What the runs of these tests have in common."""

import pytest

from scumble.config import TrainConfig, from_values, merged


@pytest.fixture
def common(tiny_base, photos, tmp_path):
    """Settings of a run of four steps on the tiny base, from groups of values that win one over the other."""

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
        return from_values(TrainConfig, values)

    return build

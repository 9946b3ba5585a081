"""Steps, epochs and batches of a forecast multiply out, with class pictures too."""

import shutil

import pytest

from scumble.check.forecast import forecast
from scumble.check.words import forecast_words
from scumble.config import TrainConfig, from_values
from scumble.train.plan import make_plan


def test_steps_epochs_and_batches_multiply_out_with_class_pictures_too(photos, tiny_base, tmp_path):
    classes = tmp_path / "classes"
    classes.mkdir()
    for path in sorted(photos.glob("*.png"))[:4]:
        shutil.copy(path, classes)
    values = {
        "data": {"folder": photos, "resolution": 32},
        "model": {"base": str(tiny_base)},
        "training": {"max_train_steps": 40, "train_batch_size": 3},
        "prior": {"class_data_dir": classes, "class_prompt": "a dog", "prior_share": 0.25},
    }
    told = forecast(make_plan(from_values(TrainConfig, values)), None)
    assert told.class_share == 0.25
    assert told.epochs == pytest.approx(40 * 3 * 0.75 / 11)
    batches = sum(bucket.batches for bucket in told.buckets)
    assert batches == 5  # 11 pictures, 2.25 a batch
    assert told.epochs * batches == pytest.approx(told.steps, rel=0.05)
    assert "25% of them class pictures" in dict(forecast_words(told))["steps"]

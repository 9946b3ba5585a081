"""Real small runs for reports to tell of."""

import shutil

import numpy as np
import pytest
from PIL import Image

from scumble.config import TrainConfig, from_values
from scumble.train.loop import train

MEAN = '<script>alert("a")</script> & <b>sks</b>'
"""A caption that a page must not take for its own words."""


@pytest.fixture(scope="session")
def pictures(tmp_path_factory):
    """Twelve pictures with mean captions, and a file that is none."""
    folder = tmp_path_factory.mktemp("learnt") / "photos"
    folder.mkdir()
    random = np.random.default_rng(3)
    for index in range(12):
        Image.fromarray(random.integers(0, 256, (40, 48, 3), np.uint8)).save(folder / f"{index:02d}.png")
        (folder / f"{index:02d}.txt").write_text(f"{MEAN} {index}", encoding="utf-8")
    (folder / "broken.png").write_bytes(b"no picture")
    return folder


@pytest.fixture(scope="session")
def settings(tiny_base, pictures, tmp_path_factory):
    """Settings of a run of four steps with sample pictures; groups of them can be changed."""

    def build(out, **changes):
        values = {
            "model": {"base": str(tiny_base)},
            "data": {"folder": pictures, "cache_dir": pictures.parent / "cache"},
            "adapter": {"rank": 2},
            "optimizer": {"learning_rate": 1e-2},
            "training": {"max_train_steps": 4, "device": "cpu"},
            "validation": {"validation_steps": 2},
            "output": {"output_dir": out, "report_to": "none"},
        }
        for section, given in changes.items():
            values[section] = {**values.get(section, {}), **given}
        return from_values(TrainConfig, values)

    return build


@pytest.fixture(scope="session")
def whole_run(settings, tmp_path_factory):
    """A run to its end, with sample pictures of two prompts; tests only look at it."""
    out = tmp_path_factory.mktemp("whole")
    validation = {"validation_steps": 2, "validation_prompt": f"{MEAN} | a dog", "sample_steps": 2}
    list(train(settings(out, validation=validation)))
    return out / "photos"


@pytest.fixture
def run(whole_run, tmp_path):
    """A copy of it to do things to."""
    return shutil.copytree(whole_run, tmp_path / "photos")

"""Stopped after every single step and resumed each time: the files of a run that was never stopped, to the bit."""

import numpy as np
import pytest
from PIL import Image
from tests.thinned import thinned
from tests.train.broken_runs import play, results

from scumble.train.events import Stepped
from scumble.train.loop import train
from scumble.train.plan import make_plan

EVERYTHING = {
    "data": {
        "random_flip": True,
        "caption_dropout_rate": 0.2,
        "shuffle_caption": True,
        "caption_tag_dropout_rate": 0.2,
    },
    "adapter": {"rank": 4, "alpha": 3.0, "dropout": 0.1, "rank_dropout": 0.1, "module_dropout": 0.1},
    "optimizer": {"learning_rate": 1e-2},
    "training": {"max_train_steps": None, "num_train_epochs": 2, "gradient_accumulation_steps": 3},
    "validation": {"validation_steps": 2},
    "output": {"name": "r", "checkpointing_steps": 3},
}
"""Flips, shuffled captions, dropout of every kind, several sizes, accumulation."""
OPTIONS = {
    "adamw, its average, random crops": {"optimizer": {"ema_decay": 0.9}, "data": {"center_crop": False}},
    "prodigy, going back": {
        "optimizer": {"optimizer": "Prodigy", "learning_rate": 1.0},
        "training": {"on_nan": "rollback"},
    },
    "schedule-free": {"optimizer": {"optimizer": "AdamWScheduleFree"}},
}
"""What else a run may do. A line here crosses an option with a stop at every step."""


@pytest.fixture
def sizes(tmp_path):
    """Eight pictures of two sizes, with tags."""
    folder = tmp_path / "sizes"
    folder.mkdir()
    random = np.random.default_rng(3)
    for index in range(8):
        width, height = ((64, 32), (32, 64))[index % 2]
        Image.fromarray(random.integers(0, 256, (height, width, 3), np.uint8)).save(folder / f"{index}.png")
        (folder / f"{index}.txt").write_text(f"sks, a dog, tag {index}, on grass", encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    "options",
    thinned(OPTIONS.values(), next(iter(OPTIONS.values()))),
    ids=OPTIONS,
)
def test_a_stop_after_every_step_changes_nothing(common, sizes, tmp_path, options):
    def config(**output):
        return common({"data": {"folder": sizes}}, EVERYTHING, options, {"output": output})

    plan = make_plan(config())
    assert plan.num_steps == 6
    assert len({size for _, size in plan.cuts}) == 2
    play(config())
    steps = [
        event.step for event in play(config(output_dir=tmp_path / "stopped"), until=1) if isinstance(event, Stepped)
    ]
    while steps[-1] < plan.num_steps:
        again = config(output_dir=tmp_path / "stopped", resume=True)
        steps += [event.step for event in play(again, until=steps[-1] + 1) if isinstance(event, Stepped)]
    assert steps == list(range(1, plan.num_steps + 1))
    assert not (tmp_path / "stopped" / "r" / "r.safetensors").exists()  # the last stop came before the end
    finish = config(output_dir=tmp_path / "stopped", resume=True)
    assert not any(isinstance(event, Stepped) for event in train(finish))
    assert results(finish) == results(config())

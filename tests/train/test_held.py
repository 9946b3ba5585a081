"""Of more pictures and captions than have room in memory, the rest are read again, and nothing else changes."""

import importlib
import shutil

import pytest
from safetensors.torch import load_file

from scumble.generate.events import Noted
from scumble.train.events import Stepped
from scumble.train.held import Chosen, Held
from scumble.train.loop import train

material = importlib.import_module("scumble.train.material")
LATENTS_OF_ONE = 2 * 4 * 4 * 4 * 4 * 2
"""Bytes: mean and deviation of 4 channels of 4 x 4 float32 numbers, upright and mirrored."""


def test_what_has_no_room_is_read_again_each_time():
    read = []
    held = Held(lambda key: read.append(key) or f"{key} again", len, room=5)
    for key, item in [("a", "aa"), ("b", "bbb"), ("c", "ccc"), ("d", "")]:
        held.put(key, item)
    assert list(held) == ["a", "b", "c", "d"]
    assert held.num_held == 2
    assert [held[key] for key in "abccd"] == ["aa", "bbb", "c again", "c again", "d again"]
    assert read == ["c", "c", "d"]
    with pytest.raises(KeyError):
        held["e"]


def test_chosen_items_are_looked_up_when_they_are_asked_for():
    asked = []
    held = Held(lambda key: asked.append(key) or key, lambda item: 1, room=0)
    for key in range(5):
        held.put(key, key)
    chosen = Chosen(held, [4, 0, 4])
    assert len(chosen) == 3
    assert asked == []
    assert [chosen[0], chosen[1], *chosen[1:]] == [4, 0, 0, 4]


@pytest.fixture
def settings(common, tmp_path):
    data = {"cache_dir": tmp_path / "kept", "random_flip": True, "caption_dropout_rate": 0.3}
    own = {"adapter": {"rank": 2}, "data": data, "training": {"max_train_steps": 4, "train_batch_size": 2}}
    return lambda name, **changes: common(own, changes, {"output": {"name": name}})


def tensors_of(tmp_path, name):
    return {key: tensor.tolist() for key, tensor in load_file(tmp_path / "runs" / name / f"{name}.safetensors").items()}


@pytest.mark.parametrize("workers", [0, 2])
def test_a_run_without_room_is_the_same_run(settings, monkeypatch, tmp_path, workers):
    list(train(settings("roomy", training={"dataloader_num_workers": workers})))
    monkeypatch.setattr(material, "ROOM", 3 * LATENTS_OF_ONE)
    events = list(train(settings("tight", training={"dataloader_num_workers": workers})))
    said = [event.text for event in events if isinstance(event, Noted) and "are held in memory" in event.text]
    assert [text.split(" are held")[0] for text in said] == ["latents: 3 of 12", "text states: 0 of 4"]
    assert tensors_of(tmp_path, "tight") == tensors_of(tmp_path, "roomy")


def test_what_has_gone_from_the_cache_meanwhile_is_encoded_again(settings, monkeypatch, tmp_path):
    list(train(settings("roomy")))
    monkeypatch.setattr(material, "ROOM", 0)
    for event in train(settings("tight")):
        if isinstance(event, Stepped) and event.step == 2:
            shutil.rmtree(tmp_path / "kept")
    assert tensors_of(tmp_path, "tight") == tensors_of(tmp_path, "roomy")

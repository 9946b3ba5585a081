"""The same run again: from its resolved settings, from another working directory, and after a stop."""

import pytest
import torch
from safetensors.torch import load_file

from scumble.config import TrainConfig, from_values, merged, read_toml
from scumble.train.events import Stepped
from scumble.train.loop import train


@pytest.fixture
def settings(common, tmp_path):
    own = {"data": {"cache_dir": tmp_path / "kept"}}
    return lambda **changes: common(own, changes)


def same_numbers(a, b):
    one, two = load_file(a), load_file(b)
    return one.keys() == two.keys() and all(torch.equal(one[key], two[key]) for key in one)


def test_a_run_that_started_from_a_lora_is_stopped_and_resumed_to_the_bit(settings, tmp_path):
    list(train(settings(adapter={"rank": 4, "alpha": 3.0}, output={"name": "first"})))
    start = {"init_lora": tmp_path / "runs" / "first" / "first.safetensors"}
    list(train(settings(output={**start, "name": "whole"})))
    stopped = train(settings(output={**start, "name": "stopped"}))
    for event in stopped:
        if isinstance(event, Stepped) and event.step == 2:
            break
    stopped.close()
    list(train(settings(output={**start, "name": "stopped", "resume": True})))
    runs = tmp_path / "runs"
    assert same_numbers(runs / "whole" / "whole.safetensors", runs / "stopped" / "stopped.safetensors")
    assert not same_numbers(runs / "whole" / "whole.safetensors", runs / "first" / "first.safetensors")


def test_a_run_for_a_purpose_starts_again_from_its_settings(settings, tmp_path):
    list(train(settings(training={"purpose": "style"}, output={"name": "style"})))
    values = read_toml(tmp_path / "runs" / "style" / "config.toml")
    assert values["adapter"]["rank"] == 4
    list(train(from_values(TrainConfig, merged(values, {"output": {"name": "again"}}))))
    runs = tmp_path / "runs"
    assert same_numbers(runs / "style" / "style.safetensors", runs / "again" / "again.safetensors")


def test_the_settings_of_a_run_work_from_any_working_directory(settings, tiny_base, photos, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "base").symlink_to(tiny_base)
    (tmp_path / "class").symlink_to(photos)
    relative = {
        "model": {"base": "base"},
        "data": {"folder": "photos", "cache_dir": "kept"},
        "prior": {"class_data_dir": "class"},
        "output": {"output_dir": "runs"},
    }
    list(train(settings(**relative)))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    values = read_toml(tmp_path / "runs" / "photos" / "config.toml")
    list(train(from_values(TrainConfig, merged(values, {"output": {"name": "again"}}))))
    runs = tmp_path / "runs"
    assert same_numbers(runs / "photos" / "photos.safetensors", runs / "again" / "again.safetensors")
    assert list((tmp_path / "elsewhere").iterdir()) == []

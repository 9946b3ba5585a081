"""The same run again: from its resolved settings, from another working directory, and after a stop."""

import shutil

import pytest
import torch
from safetensors.torch import load_file

from scumble.config import TrainConfig, from_values, merged, read_toml
from scumble.errors import CheckpointError
from scumble.train.events import Sampled, Stepped
from scumble.train.loop import train
from scumble.train.plan import make_plan


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


def test_the_base_in_the_box_is_not_mistaken_for_a_folder_of_its_name(settings, tmp_path, monkeypatch):
    (tmp_path / "mini").mkdir()
    monkeypatch.chdir(tmp_path)
    plan = make_plan(settings(model={"base": "mini"}, data={"trigger": "sks nine"}))
    assert plan.config.model.base == "mini"


PICTURED = {"validation": {"validation_prompt": "a dog", "sample_steps": 1}, "output": {"name": "killed"}}


def test_a_run_that_was_killed_early_leaves_nothing_to_another_one(settings, tmp_path):
    run = tmp_path / "runs" / "killed"
    events = train(settings(**PICTURED, prior={"class_prompt": "a three", "num_class_images": 4}))
    next(event for event in events if isinstance(event, Sampled))
    events.close()
    shutil.rmtree(run / "checkpoints")  # a kill would not have saved one
    assert len(list((run / "class_pictures").glob("*.png"))) == 4
    five = {"class_prompt": "a five", "num_class_images": 2}
    with pytest.raises(CheckpointError, match="holds a run already"):
        list(train(settings(**PICTURED, prior=five)))
    for file in run.glob("killed-*.safetensors"):
        file.unlink()
    list(train(settings(output={"name": "killed"}, prior=five)))
    prompts = [path.read_text(encoding="utf-8") for path in sorted((run / "class_pictures").glob("*.txt"))]
    assert prompts == ["a five", "a five"]
    assert not (run / "samples").exists()


def test_a_best_lora_that_was_kept_alone_is_not_written_over(settings, tmp_path):
    kept = tmp_path / "runs" / "photos" / "photos-best.safetensors"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"mine")
    with pytest.raises(CheckpointError, match="holds a run already"):
        list(train(settings()))
    assert kept.read_bytes() == b"mine"


def test_resuming_without_a_checkpoint_keeps_the_loras_that_are_there(settings, tmp_path):
    run = tmp_path / "runs" / "photos"
    list(train(settings()))
    shutil.rmtree(run / "checkpoints")
    for file in (run / "photos.safetensors", run / "photos-best.safetensors"):
        file.unlink()
    (run / "photos-000999.safetensors").write_bytes(b"mine")
    list(train(settings(output={"resume": True})))
    assert (run / "photos-000999.safetensors").read_bytes() == b"mine"


def test_overwrite_replaces_a_lora_whose_run_is_gone_and_nothing_else(settings, tmp_path):
    folder = tmp_path / "runs" / "photos"
    (folder / "samples").mkdir(parents=True)
    (folder / "samples" / "mine.txt").write_text("mine", encoding="utf-8")
    (folder / "photos.safetensors").write_bytes(b"old")
    list(train(settings(output={"overwrite": True})))
    assert load_file(folder / "photos.safetensors")
    assert (folder / "samples" / "mine.txt").exists()

"""A whole training run on a tiny base: its events, its files, and what stops it."""

import hashlib
import json

import pytest
import torch
from safetensors.torch import load_file
from tests.thinned import thinned

from scumble.config import TrainConfig, from_values, merged, read_toml
from scumble.errors import CheckpointError, ConfigError, DataError, DivergedError
from scumble.generate.events import Noted
from scumble.train.checkpoint import read_newest_checkpoint
from scumble.train.draws import is_caption_dropped
from scumble.train.events import Finished, Planned, Prepared, Sampled, Saved, Stepped, Validated
from scumble.train.loop import train


@pytest.fixture
def settings(common):
    own = {
        "adapter": {"rank": 4, "alpha": 3.0},
        "training": {"max_train_steps": 6},
        "validation": {"validation_steps": 2},
        "output": {"checkpointing_steps": 2},
    }
    return lambda **changes: common(own, changes)


def file_hash(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def kinds(events):
    return [type(event).__name__ for event in events]


def test_a_run_tells_its_plan_first_and_its_files_last(settings, tmp_path):
    events = list(train(settings()))
    ahead = [event for event in events[: kinds(events).index("Planned")] if not isinstance(event, Noted)]
    assert ahead == [Prepared("pictures", done, 12) for done in range(1, 13)]
    assert [event.step for event in events if isinstance(event, Stepped)] == [1, 2, 3, 4, 5, 6]
    finished = events[-1]
    assert isinstance(finished, Finished)
    assert all(path.is_file() for path in finished.files.values())
    assert {path.name for path in (tmp_path / "runs" / "photos").iterdir()} >= {
        "photos.safetensors", "photos-best.safetensors", "curves.png", "config.toml", "sheet.png", "history.json",
        "photos-000002.safetensors", "photos-000004.safetensors", "checkpoints",
    }  # fmt: skip


def test_stopping_after_the_plan_writes_nothing(settings, tmp_path):
    events = train(settings())
    while not isinstance(next(events), Planned):
        pass
    events.close()
    assert not (tmp_path / "runs").exists()


def test_training_lowers_the_held_out_loss(settings):
    events = list(train(settings(training={"max_train_steps": 60})))
    validations = [event.loss for event in events if isinstance(event, Validated)]
    assert validations[-1] < 0.95 * validations[0]


def test_the_saved_file_means_what_was_trained(settings):
    for format in ("kohya", "diffusers"):
        finished = list(train(settings(output={"format": format, "name": format})))[-1]
        assert finished.figures["weight_error"] < 1e-6
        assert finished.figures["effect_error"] < 1e-3


def test_the_resolved_settings_start_the_same_run_again(settings, tmp_path):
    list(train(settings()))
    run = tmp_path / "runs" / "photos"
    values = merged(read_toml(run / "config.toml"), {"output": {"output_dir": tmp_path / "again"}})
    list(train(from_values(TrainConfig, values)))
    assert file_hash(tmp_path / "again" / "photos" / "photos.safetensors") == file_hash(run / "photos.safetensors")


@pytest.mark.parametrize("stop_at", thinned(["Stepped 1", "Validated 2", "Saved 4"], "Validated 2"))
def test_stopping_at_any_event_and_resuming_gives_the_same_run(settings, tmp_path, stop_at):
    options = {
        "data": {"random_flip": True, "caption_dropout_rate": 0.3},
        "optimizer": {"learning_rate": 0.3},  # overshoots, so that the best is not simply the last
        "training": {"gradient_accumulation_steps": 2, "train_batch_size": 2},
        "objective": {"noise_offset": 0.1},
    }
    list(train(settings(**options)))
    events = train(settings(**options, output={"name": "stopped"}))
    for event in events:
        if f"{type(event).__name__} {getattr(event, 'step', '')}" == stop_at:
            break
    events.close()
    list(train(settings(**options, output={"name": "stopped", "resume": True})))
    runs = tmp_path / "runs"
    whole = load_file(runs / "photos" / "photos.safetensors")
    resumed = load_file(runs / "stopped" / "stopped.safetensors")
    assert whole.keys() == resumed.keys()
    assert all(torch.equal(whole[key], resumed[key]) for key in whole)
    best = load_file(runs / "photos" / "photos-best.safetensors")
    resumed_best = load_file(runs / "stopped" / "stopped-best.safetensors")
    assert all(torch.equal(best[key], resumed_best[key]) for key in best)
    assert (runs / "photos" / "history.json").read_text() == (runs / "stopped" / "history.json").read_text()


def test_a_stop_after_the_last_step_loses_none(settings, tmp_path):
    events = train(settings(output={"checkpointing_steps": 100}))
    for event in events:
        if isinstance(event, Saved):
            break
    events.close()
    assert read_newest_checkpoint(tmp_path / "runs" / "photos" / "checkpoints").step == 6
    again = list(train(settings(output={"checkpointing_steps": 100, "resume": True})))
    assert "Stepped" not in kinds(again)


def test_a_picture_that_cannot_be_read_any_more_ends_the_run_with_a_checkpoint(settings, photos, tmp_path):
    cut_anew = {"data": {"center_crop": False}, "output": {"checkpointing_steps": 100}}
    with pytest.raises(DataError):
        for event in train(settings(**cut_anew)):
            if isinstance(event, Stepped) and event.step == 3:
                for picture in photos.glob("*.png"):
                    picture.unlink()
    assert read_newest_checkpoint(tmp_path / "runs" / "photos" / "checkpoints").step == 3


def test_dropping_every_caption_trains_the_empty_prompt(settings, photos, tmp_path):
    list(train(settings(data={"caption_dropout_rate": 1.0}, output={"name": "dropped"})))
    for caption in photos.glob("*.txt"):
        caption.write_text("", encoding="utf-8")
    list(train(settings(output={"name": "empty"})))
    dropped, empty = (load_file(tmp_path / "runs" / name / f"{name}.safetensors") for name in ("dropped", "empty"))
    assert all(torch.equal(dropped[key], empty[key]) for key in empty)
    with pytest.raises(ConfigError, match="caption_dropout_rate would have no effect"):
        list(train(settings(data={"caption_dropout_rate": 0.5}, output={"name": "nothing to drop"})))


def test_half_of_the_captions_are_dropped_at_a_rate_of_a_half():
    dropped = [is_caption_dropped(3, position, 0.5) for position in range(1000)]
    assert 440 < sum(dropped) < 560
    assert dropped == [is_caption_dropped(3, position, 0.5) for position in range(1000)]
    assert not any(is_caption_dropped(3, position, 0.0) for position in range(1000))


def test_a_damaged_checkpoint_is_passed_over_by_name(settings, tmp_path):
    list(train(settings()))
    whole = file_hash(tmp_path / "runs" / "photos" / "photos.safetensors")
    newest = sorted((tmp_path / "runs" / "photos" / "checkpoints").iterdir())[-1]
    with (newest / "adapter.safetensors").open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x55")
    events = list(train(settings(output={"resume": True})))
    assert any("passed over" in getattr(event, "text", "") and newest.name in event.text for event in events)
    assert file_hash(tmp_path / "runs" / "photos" / "photos.safetensors") == whole


def test_resuming_with_other_settings_is_refused_naming_them(settings, tmp_path):
    list(train(settings()))
    journal = tmp_path / "runs" / "photos" / "events.jsonl"
    before = journal.read_bytes()
    with pytest.raises(CheckpointError, match=r"adapter.rank was 4 and is 8"):
        list(train(settings(adapter={"rank": 8}, output={"resume": True})))
    assert journal.read_bytes() == before


def test_resuming_with_other_pictures_is_refused(settings, photos):
    list(train(settings()))
    (photos / "00.txt").write_text("another caption", encoding="utf-8")
    with pytest.raises(CheckpointError, match="pictures and captions"):
        list(train(settings(output={"resume": True})))


def test_a_run_can_go_on_with_other_sample_pictures_but_its_settings_stay_as_they_were(settings, tmp_path):
    list(train(settings()))
    before = (tmp_path / "runs" / "photos" / "config.toml").read_text(encoding="utf-8")
    whole = file_hash(tmp_path / "runs" / "photos" / "photos.safetensors")
    list(train(settings(validation={"validation_prompt": "sks dog"}, output={"resume": True})))
    assert file_hash(tmp_path / "runs" / "photos" / "photos.safetensors") == whole
    with pytest.raises(CheckpointError):
        list(train(settings(adapter={"rank": 8}, output={"resume": True})))
    assert (tmp_path / "runs" / "photos" / "config.toml").read_text(encoding="utf-8") == before


def test_a_stopped_run_leaves_its_curves(settings, tmp_path):
    events = train(settings())
    for event in events:
        if isinstance(event, Stepped) and event.step == 3:
            break
    events.close()
    history = json.loads((tmp_path / "runs" / "photos" / "history.json").read_text(encoding="utf-8"))
    assert [step for step, _ in history["history"]] == [1, 2, 3]
    assert (tmp_path / "runs" / "photos" / "curves.png").is_file()


def test_a_folder_that_holds_a_run_is_not_written_over(settings):
    list(train(settings()))
    again = train(settings())
    with pytest.raises(CheckpointError, match="--overwrite"):
        list(again)
    dry = next(event for event in train(settings()) if "holds a run already" in getattr(event, "text", ""))
    assert dry.warning
    list(train(settings(output={"overwrite": True})))


def test_a_run_folder_in_use_is_refused(settings):
    first = train(settings())
    while not isinstance(next(first), Stepped):
        pass
    with pytest.raises(CheckpointError, match="in use"):
        list(train(settings(output={"resume": True})))
    first.close()


def test_a_loss_that_is_not_finite_stops_at_once_and_leaves_no_bad_file(settings, tmp_path):
    with pytest.raises(DivergedError, match="learning rate"):
        list(train(settings(optimizer={"learning_rate": 1e30, "max_grad_norm": 0}, training={"max_train_steps": 40})))
    for path in (tmp_path / "runs").rglob("*.safetensors"):
        assert all(torch.isfinite(tensor).all() for tensor in load_file(path).values()), path


def test_early_stopping_keeps_the_best(settings):
    rising = {"optimizer": {"learning_rate": 0.5, "lr_scheduler": "constant"}}
    config = settings(**rising, training={"max_train_steps": 200}, validation={"validation_steps": 2, "patience": 3})
    events = list(train(config))
    validations = [event for event in events if isinstance(event, Validated)]
    finished = events[-1]
    assert finished.step < 200
    assert finished.figures["best_validation_loss"] == min(event.loss for event in validations)


def test_samples_are_drawn_and_the_training_goes_on_as_without_them(settings, tmp_path):
    list(train(settings()))
    events = list(
        train(settings(validation={"validation_prompt": "sks dog | a dog", "sample_steps": 3}, output={"name": "s"}))
    )
    assert len([event for event in events if isinstance(event, Sampled)]) == 2
    plain = load_file(tmp_path / "runs" / "photos" / "photos.safetensors")
    sampled = load_file(tmp_path / "runs" / "s" / "s.safetensors")
    assert all(torch.equal(plain[key], sampled[key]) for key in plain)


def test_class_pictures_are_drawn_by_the_base_and_take_their_share(settings, tmp_path):
    prior = {"class_prompt": "a dog | a cat", "num_class_images": 6, "prior_share": 0.5}
    finished = list(train(settings(prior=prior)))[-1]
    drawn = tmp_path / "runs" / "photos" / "class_pictures"
    assert len(list(drawn.glob("*.png"))) == 6
    assert {path.read_text(encoding="utf-8") for path in drawn.glob("*.txt")} == {"a dog", "a cat"}
    assert isinstance(finished, Finished)


def test_given_class_pictures_need_captions_or_a_class_prompt(settings, photos):
    from scumble.errors import DataError

    for path in photos.glob("*.txt"):
        path.unlink()
    given = {"data": {"trigger": "sks"}, "prior": {"class_data_dir": photos}}
    with pytest.raises(DataError, match="class_prompt"):
        list(train(settings(**given)))
    assert isinstance(list(train(settings(**merged(given, {"prior": {"class_prompt": "a dog"}}))))[-1], Finished)


def test_a_class_prompt_that_no_picture_needs_is_refused(settings, photos):
    with pytest.raises(ConfigError, match="class_prompt would have no effect"):
        list(train(settings(prior={"class_data_dir": photos, "class_prompt": "a dog"})))


def test_training_can_start_from_a_lora_with_a_fresh_optimizer(settings, tmp_path):
    list(train(settings()))
    first = tmp_path / "runs" / "photos" / "photos.safetensors"
    open_ended = {"adapter": {"rank": None, "alpha": None}}
    events = list(train(settings(**open_ended, output={"name": "more", "init_lora": first})))
    start = next(event.loss for event in events if isinstance(event, Validated))
    ended = json.loads((tmp_path / "runs" / "photos" / "history.json").read_text())["validations"][-1][1]
    assert start == pytest.approx(ended, rel=1e-5)
    assert any(isinstance(event, Saved) for event in events)


def test_a_rank_that_contradicts_the_lora_to_start_from_is_refused(settings, tmp_path):
    list(train(settings()))
    first = tmp_path / "runs" / "photos" / "photos.safetensors"
    with pytest.raises(ConfigError, match="rank 4"):
        list(train(settings(adapter={"rank": 8}, output={"name": "more", "init_lora": first})))


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_trains_and_the_adapter_stays_float32(settings, tmp_path, precision):
    events = list(train(settings(training={"mixed_precision": precision})))
    assert events[-1].figures["weight_error"] < 1e-6
    assert events[-1].figures["effect_error"] < 1e-3
    tensors = load_file(tmp_path / "runs" / "photos" / "photos.safetensors")
    assert {tensor.dtype for tensor in tensors.values()} == {torch.float32}

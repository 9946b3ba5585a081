"""The running average of the adapter: as diffusers keeps it, exact after a stop, and in the file that is named for it."""

import json

import pytest
import torch
from diffusers.training_utils import EMAModel
from safetensors.torch import load_file
from tests.thinned import thinned
from torch import nn

from scumble.errors import ConfigError
from scumble.train.ema import Average, decay_at
from scumble.train.events import Planned, Saved, Stepped, Validated
from scumble.train.loop import train
from scumble.train.plan import make_plan
from scumble.train.start import start_session


@pytest.fixture
def settings(common):
    own = {
        "optimizer": {"ema_decay": 0.9, "learning_rate": 0.05},
        "training": {"max_train_steps": 5},
        "validation": {"validation_steps": 2},
        "output": {"checkpointing_steps": 2},
    }
    return lambda **changes: common(own, changes)


def tensors(tmp_path, name, end=""):
    return load_file(tmp_path / "runs" / name / f"{name}{end}.safetensors")


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


def test_diffusers_keeps_the_same_average():
    torch.manual_seed(0)
    parameters = {"a": nn.Parameter(torch.randn(4, 3)), "b": nn.Parameter(torch.zeros(5))}
    ours, theirs = Average(parameters, 0.9), EMAModel(list(parameters.values()), decay=0.9)
    for step in range(120):
        with torch.no_grad():
            for parameter in parameters.values():
                parameter.add_(torch.randn_like(parameter))
        ours.update(parameters, step)
        theirs.step(list(parameters.values()))
        assert theirs.cur_decay_value == decay_at(step, 0.9)
        for mine, other in zip(ours.numbers.values(), theirs.shadow_params, strict=True):
            torch.testing.assert_close(mine, other, rtol=1e-6, atol=1e-6)


def test_the_decay_begins_low_and_never_passes_what_was_given():
    decays = [decay_at(step, 0.99) for step in range(2000)]
    assert decays[:3] == [0, 2 / 11, 3 / 12]
    assert decays == sorted(decays)
    assert decays[-1] == 0.99


def test_the_average_of_a_run_is_that_of_its_steps(settings, tmp_path):
    config = settings(output={"checkpointing_steps": 1, "checkpoints_total_limit": 9})
    list(train(config))
    folders = sorted((tmp_path / "runs" / "photos" / "checkpoints").iterdir())
    assert len(folders) == 5
    starting = start_session(make_plan(config))
    try:
        while True:
            next(starting)
    except StopIteration as end:
        average = {name: parameter.detach().clone() for name, parameter in end.value.adapter.items()}
    for step, folder in enumerate(folders):
        present = load_file(folder / "adapter.safetensors")
        average = {key: torch.lerp(average[key], present[key], 1 - decay_at(step, 0.9)) for key in present}
    kept = load_file(folders[-1] / "average.safetensors")
    assert not same(kept, present)
    for key in kept:
        torch.testing.assert_close(kept[key], average[key], rtol=1e-6, atol=1e-8)


def test_either_is_exported_the_other_lies_beside_it_and_the_card_says_which(settings, tmp_path):
    events = list(train(settings()))
    averaged, last = tensors(tmp_path, "photos"), tensors(tmp_path, "photos", "-last")
    assert not same(averaged, last)
    (card,) = [event.card for event in events if isinstance(event, Planned)]
    assert card["average"] == "EMA 0.9: validation, samples and photos have the average, photos-last the last step"
    assert "photos-last.safetensors" in card["files"]
    assert "last LoRA" in [event.what for event in events if isinstance(event, Saved)]
    assert events[-1].figures["weight_error"] < 1e-6
    events = list(train(settings(optimizer={"ema_export": "last"}, output={"name": "other"})))
    assert same(tensors(tmp_path, "other"), last)
    assert same(tensors(tmp_path, "other", "-average"), averaged)
    assert events[-1].figures["weight_error"] < 1e-6
    list(train(settings(optimizer={"ema_decay": None}, output={"name": "plain"})))
    assert same(tensors(tmp_path, "plain"), last)  # keeping an average moves no step
    assert not (tmp_path / "runs" / "plain" / "plain-last.safetensors").exists()


def test_validation_and_the_files_of_steps_have_the_average(settings, tmp_path):
    list(train(settings()))
    run = tmp_path / "runs" / "photos"
    averages = load_file(run / "checkpoints" / "step-00000004" / "average.safetensors")
    of_step = tensors(tmp_path, "photos", "-000004")
    assert sorted(float(tensor.norm()) for tensor in averages.values()) == sorted(
        float(tensor.norm()) for key, tensor in of_step.items() if not key.endswith(".alpha")
    )
    ended = json.loads((run / "history.json").read_text())["validations"][-1][1]
    events = train(settings(output={"name": "more", "init_lora": run / "photos.safetensors"}))
    assert next(event.loss for event in events if isinstance(event, Validated)) == pytest.approx(ended, rel=1e-5)


@pytest.mark.parametrize(("stop_at", "export"), thinned([(1, "average"), (2, "last"), (4, "average")], (1, "average")))
def test_a_stop_changes_neither_the_average_nor_the_last_step(settings, tmp_path, stop_at, export):
    options = {"optimizer": {"ema_export": export}}
    list(train(settings(**options)))
    run = train(settings(**options, output={"name": "stopped"}))
    for event in run:
        if isinstance(event, Stepped) and event.step == stop_at:
            run.close()
    list(train(settings(**options, output={"name": "stopped", "resume": True})))
    other = {"average": "-last", "last": "-average"}[export]
    for end in ("", "-best", other):
        assert same(tensors(tmp_path, "photos", end), tensors(tmp_path, "stopped", end))
    history = [(tmp_path / "runs" / name / "history.json").read_text() for name in ("photos", "stopped")]
    assert history[0] == history[1]


def test_what_an_average_has_no_use_for_is_refused(settings):
    with pytest.raises(ConfigError, match="ema_export would have no effect: it needs ema_decay"):
        settings(optimizer={"ema_decay": None, "ema_export": "last"})
    with pytest.raises(ConfigError, match="ema_decay would have no effect: AdamWScheduleFree averages already"):
        make_plan(settings(optimizer={"optimizer": "AdamWScheduleFree"}))

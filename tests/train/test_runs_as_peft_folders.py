"""Runs that write PEFT's folders: proven, found by name, gone on from, replaced; PEFT itself loads them."""

import json

import pytest
import torch
from safetensors.torch import load_file
from tests.thinned import thinned
from tests.train.test_training_every_adapter import ADAPTERS

from scumble.adapters.inject import fold
from scumble.config import GenerateConfig
from scumble.errors import CheckpointError
from scumble.families.apply import attach_lora
from scumble.families.find import open_base
from scumble.files.folder import metadata_in
from scumble.files.read import read_lora
from scumble.generate.events import Noted
from scumble.generate.run import pictures
from scumble.train.events import Finished, Planned, Sampled, Saved, Stepped, Validated
from scumble.train.loop import train

SAYABLE = [name for name in ADAPTERS if name not in ("dora of loha", "dora of lokr", "dora input", "dropouts")]


@pytest.fixture
def settings(common):
    own = {
        "adapter": {"rank": 4, "alpha": 3.0},
        "validation": {"validation_steps": 2},
        "output": {"format": "peft", "checkpointing_steps": 2},
    }
    return lambda *changes: common(own, *changes)


WITH_TEXT = {"adapter": {"train_text_encoder": True}}


def names_in(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("adapter_*")}


def test_a_run_ends_in_folders_that_hold_what_was_trained(settings, tmp_path):
    shown = {"validation": {"validation_prompt": "a dog", "sample_steps": 2}}
    events = list(train(settings(WITH_TEXT, shown)))
    run = tmp_path / "runs" / "photos"
    card = next(event for event in events if isinstance(event, Planned)).card
    assert card["files"].startswith("photos.peft/, photos-best.peft/, ")
    assert {event.path.name for event in events if isinstance(event, Saved) and event.what != "checkpoint"} == {
        "photos-000002.peft", "photos-000004.peft", "photos.peft", "photos-best.peft",
    }  # fmt: skip
    assert [event.step for event in events if isinstance(event, Sampled)] == [2, 4]
    parts = [
        f"{part}/adapter_{what}" for part in ("unet", "text_encoder") for what in ("config.json", "model.safetensors")
    ]
    assert names_in(run / "photos.peft") == set(parts)
    assert not list(run.glob("*.safetensors"))
    assert metadata_in(run / "photos.peft")["ss_output_name"] == "photos"
    finished = events[-1]
    assert isinstance(finished, Finished)
    assert finished.files["LoRA"] == run / "photos.peft"
    assert any("a second reader, made of the published formulas, finds" in text_of(event) for event in events)


def text_of(event):
    return event.text if isinstance(event, Noted) else ""


@pytest.mark.parametrize("adapter", thinned(SAYABLE, "locon", "dora output", "patterns"))
def test_every_adapter_that_peft_has_is_proven(adapter, settings):
    finished = list(train(settings({"adapter": ADAPTERS[adapter]})))[-1]
    assert finished.figures["weight_error"] < 2e-6
    assert finished.figures["effect_error"] < 5e-3


def test_peft_itself_makes_of_the_folder_what_we_read_in_it(settings, tmp_path, tiny_base, cpu):
    peft = pytest.importorskip("peft")
    list(train(settings({"adapter": {"dora": "output", "targets": ("attention", "conv")}})))
    folder = tmp_path / "runs" / "photos" / "photos.peft"
    base = open_base(str(tiny_base))
    ours, denoiser = (base.load_denoiser(torch.float32, cpu) for _ in range(2))
    merged = peft.PeftModel.from_pretrained(denoiser, folder).merge_and_unload()
    before = {name: parameter.clone() for name, parameter in ours.named_parameters()}
    attach_lora(base, {"unet": ours}, read_lora(folder, base.layer_paths()), "a")
    fold(ours)
    folded = {
        name.replace(".layer.", "."): parameter
        for name, parameter in ours.named_parameters()
        if ".adapters." not in name
    }
    theirs = dict(merged.named_parameters())
    assert folded.keys() == theirs.keys() == before.keys()
    for name, parameter in theirs.items():
        torch.testing.assert_close(folded[name], parameter, rtol=1e-5, atol=1e-6)
    assert sum(not torch.equal(before[name], theirs[name]) for name in before) > 16


def test_a_run_is_drawn_with_by_its_name(settings, tmp_path, tiny_base):
    drawn = []
    for naming in ("peft", "kohya"):
        runs = tmp_path / naming
        list(train(settings(WITH_TEXT, {"output": {"format": naming, "output_dir": runs}})))
        config = {"base": str(tiny_base), "steps": 2, "device": "cpu", "runs_dir": runs}
        drawn += pictures(GenerateConfig(prompt="a dog <lora:photos:1>", **config))
        drawn += pictures(GenerateConfig(prompt="a dog <lora:photos-best:1>", **config))
    assert drawn[0].image.tobytes() == drawn[2].image.tobytes()
    assert drawn[1].image.tobytes() == drawn[3].image.tobytes()


def test_a_stopped_run_is_resumed_to_the_same_numbers(settings, tmp_path):
    list(train(settings({"output": {"name": "whole"}})))
    events = train(settings({"output": {"name": "stopped"}}))
    next(event for event in events if isinstance(event, Stepped) and event.step == 3)
    events.close()
    list(train(settings({"output": {"name": "stopped", "resume": True}})))
    runs = tmp_path / "runs"
    whole, stopped = (
        load_file(runs / name / f"{name}.peft" / "adapter_model.safetensors") for name in ("whole", "stopped")
    )
    assert whole.keys() == stopped.keys()
    assert all(torch.equal(whole[name], stopped[name]) for name in whole)


def test_training_goes_on_from_a_folder(settings, tmp_path):
    list(train(settings()))
    first = tmp_path / "runs" / "photos"
    open_ended = {
        "adapter": {"rank": None, "alpha": None},
        "output": {"name": "more", "init_lora": first / "photos.peft"},
    }
    events = list(train(settings(open_ended)))
    start = next(event.loss for event in events if isinstance(event, Validated))
    ended = json.loads((first / "history.json").read_text(encoding="utf-8"))["validations"][-1][1]
    assert start == pytest.approx(ended, rel=1e-5)


@pytest.mark.parametrize(("first", "then"), [("kohya", "peft"), ("peft", "kohya")])
def test_a_run_of_another_naming_is_not_written_over_unless_that_is_said(first, then, settings, tmp_path):
    list(train(settings({"output": {"format": first}})))
    run = tmp_path / "runs" / "photos"
    ends = {"kohya": ".safetensors", "peft": ".peft"}
    with pytest.raises(CheckpointError, match="holds a run already"):
        list(train(settings({"output": {"format": then}})))
    list(train(settings({"output": {"format": then, "overwrite": True}})))
    assert not list(run.glob(f"photos*{ends[first]}"))
    assert {path.name for path in run.glob(f"photos*{ends[then]}")} == {
        f"photos{ends[then]}", f"photos-best{ends[then]}", f"photos-000002{ends[then]}",
    }  # fmt: skip

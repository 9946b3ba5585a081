"""Everything that saves memory, in whole runs: what is said of it, that it stands a stop, and what has left memory."""

import hashlib
import importlib
import weakref
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tests.thinned import thinned

from scripts import load_script
from scumble.adapters.offload import Ferry
from scumble.device import is_out_of_memory
from scumble.errors import ConfigError
from scumble.families.unet import UnetBase
from scumble.quantities import amount
from scumble.train.events import Finished, Noted, Planned, Stepped
from scumble.train.loop import train
from scumble.train.plan import make_plan

ROOT = Path(__file__).parents[2]
SAVINGS = {
    "gradient checkpointing": {"gradient_checkpointing": True},
    "bf16": {"mixed_precision": "bf16"},
    "fp16": {"mixed_precision": "fp16"},
    "nf4": {"base_packing": "nf4"},
    "int8 in bf16": {"base_packing": "int8", "mixed_precision": "bf16"},
    "offloaded": {"group_offload": True},
    "all at once": {
        "gradient_checkpointing": True,
        "mixed_precision": "bf16",
        "base_packing": "nf4",
        "group_offload": True,
        "vae_tiling": True,
    },
}


@pytest.fixture
def as_if_a_gpu(monkeypatch):
    """Weights are moved to and fro though both places are the computer's memory."""
    storage = importlib.import_module("scumble.train.storage")
    monkeypatch.setattr(storage, "has_memory_of_its_own", lambda device: True)


@pytest.fixture
def settings(common, as_if_a_gpu):
    own = {
        "adapter": {"rank": 2},
        "data": {"resolution": 48},
        "training": {"max_train_steps": 3},
        "validation": {"validation_steps": 3},
        "output": {"checkpointing_steps": 2},
    }
    return lambda *changes, **training: common(own, *changes, {"training": training})


def file_of(folder):
    """The LoRA that a run has ended with."""
    return folder / "photos" / "photos.safetensors"


def file_hash(folder):
    return hashlib.sha256(file_of(folder).read_bytes()).hexdigest()


def same_numbers(one, other):
    one, other = load_file(file_of(one)), load_file(file_of(other))
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


def run_until(config, step):
    """The events of a run that is stopped after a step, or not at all."""
    run, events = train(config), []
    for event in run:
        events.append(event)
        if isinstance(event, Stepped) and event.step == step:
            break
    run.close()
    return events


def into(folder, **more):
    return {"output": {"output_dir": folder, **more}}


@pytest.mark.parametrize("saving", thinned(SAVINGS, "nf4", "all at once"))
def test_a_stopped_run_ends_in_the_same_file(settings, tmp_path, saving):
    values, whole, stopped = SAVINGS[saving], tmp_path / "whole", tmp_path / "stopped"
    events = run_until(settings(into(whole), **values), None)
    assert isinstance(events[-1], Finished)  # and proven: read back, it does on a base loaded anew what was trained
    run_until(settings(into(stopped), **values), 1)
    assert not file_of(stopped).exists()
    run_until(settings(into(stopped, resume=True), **values), None)
    assert file_hash(stopped) == file_hash(whole)


def test_offloaded_weights_train_the_same_numbers_and_a_run_may_change_over(settings, tmp_path):
    plain, away = tmp_path / "plain", tmp_path / "away"
    run_until(settings(into(plain)), None)
    run_until(settings(into(away), group_offload=True), 1)
    run_until(settings(into(away, resume=True)), 2)
    events = run_until(settings(into(away, resume=True), group_offload=True), None)
    assert isinstance(events[-1], Finished)
    assert same_numbers(plain, away)


def test_weights_go_to_and_fro_in_a_run(settings, tmp_path, monkeypatch):
    brought = []
    bring = Ferry.bring
    monkeypatch.setattr(Ferry, "bring", lambda self, *which: brought.append(which) or bring(self, *which))
    run_until(settings(group_offload=True), 1)
    assert len(set(brought)) > 60
    brought.clear()
    run_until(settings(into(tmp_path / "plain")), 1)
    assert brought == []


@pytest.mark.parametrize("saving", ["nf4", "offloaded", "all at once"])
def test_the_card_and_a_note_say_how_many_bytes_stay(settings, tmp_path, saving):
    plan = make_plan(settings(**SAVINGS[saving]))
    events = run_until(settings(**SAVINGS[saving]), 1)
    (card,) = [event.card for event in events if isinstance(event, Planned)]
    assert card["memory"].startswith("the frozen weights take ")
    assert f"instead of {amount(plan.total * plan.dtype.itemsize)}" in card["memory"]
    assert ("in the computer's memory" in card["memory"]) == plan.storage.is_offloaded
    assert [event.text for event in events if isinstance(event, Noted)].count(card["memory"]) == 1
    (plain,) = [event.card for event in run_until(settings(into(tmp_path)), 1) if isinstance(event, Planned)]
    assert "memory" not in plain


def test_tiles_are_said_and_their_latents_kept_apart(settings, tmp_path):
    def entries():
        return sum(1 for _ in (tmp_path / "cache").rglob("*.safetensors"))

    whole, tiled, again = (tmp_path / name for name in ("whole", "tiled", "again"))
    run_until(settings(into(whole)), None)
    first = entries()
    events = run_until(settings(into(tiled), vae_tiling=True), None)
    (card,) = [event.card for event in events if isinstance(event, Planned)]
    assert "encoded in tiles of 32 px" in card["resolution"]
    assert entries() == first + 12  # the latents, and no text state
    run_until(settings(into(again)), None)
    assert entries() == first + 12
    assert same_numbers(whole, again)
    assert not same_numbers(whole, tiled)


@pytest.mark.parametrize(
    ("training", "says"),
    [
        (
            {"group_offload": True},
            "group_offload would have no effect: the weights on device=cpu are in the computer's",
        ),
        ({"vae_tiling": True}, "vae_tiling would have no effect: no picture is larger than 32 px, and a tile has 32"),
    ],
)
def test_what_would_save_nothing_is_refused(common, training, says):
    with pytest.raises(ConfigError, match=says):
        make_plan(common({"training": training}))


def test_sample_pictures_that_are_larger_than_a_tile_may_be_tiled(common):
    config = common({"data": {"resolution": 64}, "validation": {"validation_prompt": "a dog"}})
    config = config.model_copy(update={"training": config.training.model_copy(update={"vae_tiling": True})})
    assert make_plan(config).base.vae.is_tiled


KEPT = {
    "captions as they are": ({}, {"autoencoder": 0, "text encoder": 0}),
    "captions shuffled": ({"data": {"shuffle_caption": True}}, {"autoencoder": 0, "text encoder": 1}),
    "cuts at random": ({"data": {"center_crop": False}}, {"autoencoder": 1, "text encoder": 0}),
    "sample pictures": ({"validation": {"validation_prompt": "a dog"}}, {"autoencoder": 0, "text encoder": 0}),
    "class pictures": (
        {"prior": {"class_prompt": "a dog", "num_class_images": 1}},
        {"autoencoder": 0, "text encoder": 0},
    ),
}


@pytest.mark.parametrize("case", KEPT)
def test_idle_parts_have_left_memory_before_the_first_step(settings, monkeypatch, case):
    loaded = {"autoencoder": [], "text encoder": [], "denoiser": []}

    def watch(method, part, models):
        load = getattr(UnetBase, method)

        def watched(self, *given):
            made = load(self, *given)
            loaded[part] += [weakref.ref(model) for model in models(made)]
            return made

        monkeypatch.setattr(UnetBase, method, watched)

    watch("load_autoencoder", "autoencoder", lambda made: [made.model])
    watch("load_text_encoder", "text encoder", lambda made: made.modules.values())
    watch("load_denoiser", "denoiser", lambda made: [made])
    changes, expected = KEPT[case]
    run = train(settings(changes))
    assert any(isinstance(event, Stepped) for event in run)
    alive = {part: sum(model() is not None for model in models) for part, models in loaded.items()}
    run.close()
    assert all(loaded.values())
    assert alive == {**expected, "denoiser": 1}


def test_what_only_words_tell_is_out_of_memory_too():
    assert is_out_of_memory(RuntimeError("CUDA error: out of memory"))
    assert is_out_of_memory(RuntimeError("MPS backend out of memory (MPS allocated: 9.06 GB, max allowed: 9.07 GB)."))
    assert is_out_of_memory(RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"))
    assert is_out_of_memory(RuntimeError("Triton Error [CUDA]: out of memory"))
    assert not is_out_of_memory(RuntimeError("CUDA error: an illegal memory access"))


def test_the_table_of_bytes_is_current():
    script = load_script(ROOT / "docs" / "make_memory_table.py")
    assert script.PAGE.read_text(encoding="utf-8") == script.page(), "run `make docs`"


@pytest.mark.parametrize(("precision", "dtype"), [("bf16", torch.bfloat16), ("fp16", torch.float16)])
def test_weights_are_in_the_precision_asked_for_and_so_many_bytes(settings, monkeypatch, precision, dtype):
    loaded = []
    load = UnetBase.load_denoiser
    monkeypatch.setattr(UnetBase, "load_denoiser", lambda self, *how: loaded.append(load(self, *how)) or loaded[-1])
    config = settings(mixed_precision=precision)
    run_until(config, 1)
    frozen = [parameter for parameter in loaded[0].parameters() if not parameter.requires_grad]
    assert {parameter.dtype for parameter in frozen} == {dtype}
    assert sum(parameter.nbytes for parameter in frozen) == 2 * make_plan(config).total

"""Runs with every algorithm, modifier and option of the adapter: proven, and resumed to the same bytes."""

import pytest
import torch
from safetensors.torch import load_file
from tests.thinned import thinned
from tests.train.broken_runs import forget_after

from scumble.errors import ConfigError
from scumble.train.events import Noted, Planned, Stepped
from scumble.train.loop import train

CONVS = ("attention", "conv", "proj")
ADAPTERS = {
    "locon": {"targets": CONVS},
    "loha": {"algorithm": "loha", "targets": CONVS},
    "lokr": {"algorithm": "lokr", "targets": CONVS, "lokr_factor": 4},
    "lokr full": {"algorithm": "lokr", "lokr_full_matrix": True},
    "lokr both": {"algorithm": "lokr", "lokr_decompose_both": True, "rank": 1},
    "dora output": {"dora": "output", "targets": CONVS},
    "dora input": {"dora": "input", "targets": CONVS},
    "dora of loha": {"algorithm": "loha", "dora": "output"},
    "dora of lokr": {"algorithm": "lokr", "dora": "input"},
    "rank-stabilised": {"rank_stabilized": True},
    "pissa": {"init": "pissa", "targets": CONVS},
    "orthogonal": {"init": "orthogonal"},
    "patterns": {"rank_pattern": ("*.attn2.*=2",), "alpha_pattern": ("*.attn1.to_q=5", "*.attn2.to_k=0.5")},
    "dropouts": {"dropout": 0.3, "rank_dropout": 0.3, "module_dropout": 0.2},
}


@pytest.fixture
def settings(common):
    own = {
        "adapter": {"rank": 4, "alpha": 3.0},
        "training": {"max_train_steps": 3},
        "validation": {"validation_steps": 3},
        "output": {"checkpointing_steps": 1, "checkpoints_total_limit": 3},
    }
    return lambda *changes: common(own, *changes)


def gone_on_with(settings, chosen, run):
    """The tensors of a finished run, done again from its first checkpoint on."""
    forget_after(run, 1)
    events = list(train(settings(chosen, {"output": {"resume": True}})))
    assert [event.step for event in events if isinstance(event, Stepped)] == [2, 3]
    return load_file(events[-1].files["LoRA"])


@pytest.mark.parametrize("adapter", thinned(ADAPTERS, "locon", "dora output", "lokr both", "dropouts"))
def test_the_file_is_proven_and_a_stopped_run_ends_in_the_same_bytes(settings, tmp_path, adapter):
    chosen = {"adapter": ADAPTERS[adapter]}
    finished = list(train(settings(chosen)))[-1]
    assert finished.figures["weight_error"] < 2e-6
    assert finished.figures["effect_error"] < 5e-3
    whole = load_file(finished.files["LoRA"])
    again = gone_on_with(settings, chosen, tmp_path / "runs" / "photos")
    assert whole.keys() == again.keys()
    assert [key for key in whole if not torch.equal(whole[key], again[key])] == []


@pytest.mark.parametrize(
    ("adapter", "precision"),
    [("locon", "bf16"), ("dora output", "fp16"), ("dora input", "bf16"), ("dora of loha", "fp16"), ("pissa", "fp16")],
)
def test_a_file_of_16_bits_is_proven_too(settings, adapter, precision):
    finished = list(train(settings({"adapter": ADAPTERS[adapter]}, {"output": {"save_precision": precision}})))[-1]
    assert finished.figures["weight_error"] < {"fp16": 2e-3, "bf16": 2e-2}[precision]


@pytest.mark.parametrize(
    "adapter",
    thinned(["locon", "loha", "lokr", "dora output", "dora input", "pissa", "dropouts"], "loha", "dora input"),
)
def test_it_learns(settings, adapter):
    steps = {
        "training": {"max_train_steps": 30},
        "validation": {"validation_steps": 30},
        "output": {"checkpointing_steps": 30},
    }
    *events, finished = train(settings({"adapter": ADAPTERS[adapter]}, steps))
    first = [event.loss for event in events if isinstance(event, Stepped)][:3]
    assert finished.figures["last_validation_loss"] < 0.97 * sum(first) / 3


@pytest.mark.parametrize("packing", ["nf4", "int8"])
def test_a_packed_base_trains_and_the_bytes_are_said(settings, packing):
    events = list(train(settings({"training": {"base_packing": packing}})))
    card = next(event for event in events if isinstance(event, Planned)).card
    assert packing in card["precision"]
    said = next(event.text for event in events if isinstance(event, Noted) and "frozen weights" in event.text)
    assert "MB" in said
    assert events[-1].figures["weight_error"] < 2e-6


@pytest.mark.parametrize("left_out", [{"dropout": 0.3}, {"rank_dropout": 0.3}, {"module_dropout": 0.3}])
def test_dropout_leaves_out_the_same_where_a_pass_is_computed_again(settings, tmp_path, left_out):
    """Gradient checkpointing computes the forward pass once more within the backward pass."""
    found = []
    for name, again in (("once", False), ("again", True)):
        chosen = {"training": {"gradient_checkpointing": again}, "output": {"name": name}}
        list(train(settings({"adapter": left_out}, chosen)))
        found.append(load_file(tmp_path / "runs" / name / f"{name}.safetensors"))
    once, again = found
    assert all(torch.equal(once[key], again[key]) for key in once)


def test_lora_plus_lets_b_learn_faster(settings, tmp_path):
    def change(name, **optimizer):
        optimizer = {"learning_rate": 1e-3, "weight_decay": 0.0, **optimizer}
        list(train(settings({"training": {"max_train_steps": 1}, "optimizer": optimizer, "output": {"name": name}})))
        tensors = load_file(tmp_path / "runs" / name / f"{name}.safetensors")
        return sum(float(tensor.abs().sum()) for key, tensor in tensors.items() if "lora_up" in key)

    assert change("plus", loraplus_lr_ratio=16.0) == pytest.approx(16 * change("plain"), rel=1e-3)


@pytest.mark.parametrize(
    ("adapter", "says"),
    [
        ({"lokr_factor": 4}, "lokr_factor would have no effect"),
        ({"lokr_full_matrix": True}, "lokr_full_matrix would have no effect"),
        ({"algorithm": "loha", "init": "pissa"}, "init would have no effect"),
        ({"rank_pattern": ("*.nothing=4",)}, r"rank_pattern: '\*\.nothing' matches none of the 32"),
        ({"alpha_pattern": ("*.attn1.*",)}, "expected PATTERN=NUMBER"),
        ({"rank_pattern": ("*.attn1.*=2.5",)}, "is not a whole number"),
        ({"targets": ("all-convs",)}, "did you mean 'all-conv'"),
    ],
)
def test_settings_that_do_nothing_or_mean_nothing_are_refused(settings, adapter, says):
    with pytest.raises(ConfigError, match=says):
        list(train(settings({"adapter": adapter})))


TEXT = {"train_text_encoder": True, "text_encoder_targets": ("attention", "feed-forward"), "text_encoder_rank": 2}


@pytest.mark.parametrize(
    ("base", "more"),
    [
        ("tiny_base", {}),
        ("tiny_base", {"algorithm": "loha", "dora": "output"}),
        pytest.param("sdxl_base", {}, marks=pytest.mark.slow),
    ],
    ids=["lora", "dora of loha", "lora of sdxl"],
)
def test_the_text_encoders_are_trained_proven_and_resumed(request, settings, tmp_path, base, more):
    chosen = {"adapter": {**TEXT, **more}, "model": {"base": str(request.getfixturevalue(base))}}
    finished = list(train(settings(chosen)))[-1]
    assert finished.figures["weight_error"] < 2e-6
    assert finished.figures["effect_error"] < 5e-3
    whole = load_file(finished.files["LoRA"])
    again = gone_on_with(settings, chosen, tmp_path / "runs" / "photos")
    assert [key for key in whole if not torch.equal(whole[key], again[key])] == []
    text = {key: tensor for key, tensor in whole.items() if key.startswith("lora_te")}
    prefixes = {key.split("_text_model")[0] for key in text}
    assert prefixes == ({"lora_te"} if base == "tiny_base" else {"lora_te1", "lora_te2"})
    if not more:
        ups = [tensor for key, tensor in text.items() if "lora_up" in key and "layers_0" in key]
        assert all(tensor.abs().max() > 0 for tensor in ups)
        assert {tensor.shape[1] for tensor in ups} == {2}


def test_the_text_encoder_learns_at_its_own_rate(settings, tmp_path):
    def change(name, **optimizer):
        optimizer = {"learning_rate": 1e-3, "weight_decay": 0.0, **optimizer}
        chosen = {"adapter": TEXT, "training": {"max_train_steps": 1}, "optimizer": optimizer, "output": {"name": name}}
        list(train(settings(chosen)))
        tensors = load_file(tmp_path / "runs" / name / f"{name}.safetensors")
        return [
            sum(float(tensor.abs().sum()) for key, tensor in tensors.items() if part in key and "lora_up" in key)
            for part in ("lora_te", "lora_unet")
        ]

    fast, plain = change("fast", text_encoder_lr=5e-3), change("plain")
    assert fast[0] == pytest.approx(5 * plain[0], rel=1e-3)
    assert fast[1] == pytest.approx(plain[1], rel=1e-3)


def test_samples_are_drawn_through_the_trained_text_encoder(settings, tmp_path):
    drawn = {"validation": {"validation_prompt": "a dog", "sample_steps": 4}}
    list(train(settings({"adapter": TEXT}, drawn)))
    assert list((tmp_path / "runs" / "photos" / "samples").glob("*.png"))


def test_a_text_encoder_setting_without_training_it_is_refused(settings):
    with pytest.raises(ConfigError, match="text_encoder_rank would have no effect"):
        settings({"adapter": {"text_encoder_rank": 2}})
    with pytest.raises(ConfigError, match="text_encoder_lr would have no effect"):
        settings({"optimizer": {"text_encoder_lr": 1e-5}})

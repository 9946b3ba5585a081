"""What is said of other programs' readings, tested against those that install from the index."""

import pytest
import torch
from diffusers.loaders import StableDiffusionLoraLoaderMixin

from scumble.edit.programs import WHOLE, in_words, readings
from scumble.files.lorafile import LoraFile, LoraLayer
from scumble.files.read import write_lora

KEY = "unet.mid_block.attentions.0.transformer_blocks.0.attn1.to_q"


def layer(algorithm="lora", axis=None):
    factors = {
        "lora": {"down": (2, 8), "up": (8, 2)},
        "loha": {"w1_a": (8, 2), "w1_b": (2, 8), "w2_a": (8, 2), "w2_b": (2, 8)},
        "lokr": {"w1": (2, 2), "w2_a": (4, 2), "w2_b": (2, 4)},
    }[algorithm]
    tensors = {name: torch.randn(shape) for name, shape in factors.items()}
    if axis is not None:
        tensors["magnitude"] = torch.rand(8, 1) if axis == "output" else torch.rand(1, 8)
    return LoraLayer(algorithm, tensors, 2, 3.0)


def read(naming="kohya", key=KEY, **kind):
    return readings(LoraFile({key: layer(**kind)}), naming)


def test_a_plain_lora_in_kohyas_naming_is_read_by_all_as_trained():
    assert set(read().values()) == {WHOLE}
    assert in_words(read()) == "A1111, ComfyUI, diffusers, sd-scripts and LyCORIS: as trained"


def test_no_layout_of_dora_is_read_by_all():
    by_input, by_output = read(axis="input"), read(axis="output")
    assert {program for program, said in by_input.items() if said == WHOLE} == {"A1111", "ComfyUI"}
    assert {program for program, said in by_output.items() if said == WHOLE} == {"LyCORIS"}
    assert read("diffusers", axis="output")["diffusers"] == WHOLE
    text = read("diffusers", "text_encoder.text_model.encoder.layers.0.mlp.fc1", axis="output")
    assert "text encoder's lengths" in text["diffusers"]


@pytest.mark.parametrize("algorithm", ["loha", "lokr"])
def test_diffusers_refuses_the_other_algorithms_as_is_said(algorithm, tmp_path):
    assert "refuses" in read(algorithm=algorithm)["diffusers"]
    write_lora(LoraFile({KEY: layer(algorithm)}), tmp_path / "a.safetensors")
    with pytest.raises(ValueError, match=r"(?i)state.?dict|format|rename|keys"):
        StableDiffusionLoraLoaderMixin.lora_state_dict(tmp_path / "a.safetensors", weight_name=None)


@pytest.mark.parametrize("axis", ["input", "output"])
def test_diffusers_drops_the_lengths_as_is_said(axis, tmp_path):
    assert "without the lengths" in read(axis=axis)["diffusers"]
    write_lora(LoraFile({KEY: layer(axis=axis)}), tmp_path / "a.safetensors")
    state = StableDiffusionLoraLoaderMixin.lora_state_dict(tmp_path / "a.safetensors")[0]
    assert state
    assert not any("dora" in key or "magnitude" in key for key in state)

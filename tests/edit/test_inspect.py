"""What a LoRA file is said to hold is what is in it."""

import json
import math
from dataclasses import asdict

import pytest
import torch
from tests.edit.conftest import LINEAR
from tests.files.kinds import change_of, random_layer

from scumble.config import from_values
from scumble.config.edit import InspectConfig
from scumble.edit.look import inspect
from scumble.files.lorafile import LoraFile
from scumble.files.read import write_lora


@pytest.fixture
def inspected(tiny_base):
    return lambda path, **settings: inspect(
        from_values(InspectConfig, {"file": path, "base": str(tiny_base), **settings})
    )


def test_algorithm_ranks_alphas_and_targets_are_counted(lora_file, inspected):
    found = inspected(lora_file(rank=3, alpha=2.0, dtype=torch.float16))
    assert (found.algorithms, found.alphas, found.format) == ({"lora": 8}, {2.0: 8}, "kohya")
    assert found.dtypes == {"float16": 16}
    assert found.targets == {
        "text_encoder: text attention": 4,
        "unet: self-attention": 1,
        "unet: cross-attention": 1,
        "unet: resnet": 1,
        "unet: attention projections": 1,
    }
    assert [(block.name, block.num_layers, block.ranks) for block in found.blocks] == [
        ("unet.down_blocks.0", 3, {3: 3}),
        ("unet.up_blocks.1", 1, {3: 1}),
        ("text_encoder", 4, {3: 4}),
    ]


@pytest.mark.parametrize("kind", ["lora", "loha", "lokr"])
def test_norms_are_those_of_the_changes(kind, lora_file, layers_of, inspected, table):
    found = inspected(lora_file(kind=kind))
    squares = {}
    for key, layer in layers_of(kind).items():
        block = ".".join(key.split(".")[:3]) if key.startswith("unet") else "text_encoder"
        squares[block] = squares.get(block, 0) + float(change_of(layer, table.shapes[key]).square().sum())
    assert {block.name: block.norm for block in found.blocks} == pytest.approx(
        {name: math.sqrt(square) for name, square in squares.items()}, rel=1e-5
    )


def test_a_dora_is_named_and_its_norm_needs_the_weights_of_a_base(lora_file, inspected, tmp_path):
    assert inspected(lora_file(kind="loha", dora="output")).algorithms == {"loha with DoRA on output": 8}
    assert inspected(lora_file(dora="input")).algorithms == {"lora with DoRA on input": 8}
    assert all(block.norm is not None for block in inspected(lora_file(dora="output")).blocks)
    layer = random_layer("lora", (320, 320), 2, 1.0, 0, "output")
    cross = random_layer("lora", (320, 768), 2, 1.0, 0)
    write_lora(LoraFile({LINEAR: layer, LINEAR.replace("attn1.to_q", "attn2.to_k"): cross}), tmp_path / "b.safetensors")
    found = inspect(from_values(InspectConfig, {"file": tmp_path / "b.safetensors"}))
    assert (found.made_for, found.blocks[0].norm) == ("sd1", None)


def test_what_the_metadata_tell_is_said(lora_file, inspected):
    metadata = {"ss_steps": "100", "scumble.trigger": "sks dog", "ss_sd_model_name": "v1-5.ckpt", "other": "x"}
    found = inspected(lora_file(metadata=metadata))
    assert found.said == {"base": "v1-5.ckpt", "trigger": "sks dog", "steps": "100"}
    assert found.metadata["other"] == "x"
    assert asdict(found)["said"] == found.said


def test_layers_outside_attention_have_names_of_their_own(layers_of, table, inspected, tmp_path):
    places = [key for key in table.shapes if any(piece in key for piece in ("samplers", "time_embedding", "conv_in"))]
    places.append("unet.conv_out")
    write_lora(LoraFile(layers_of(places=places)), tmp_path / "outside.safetensors")
    assert inspected(tmp_path / "outside.safetensors").targets == {
        "unet: time embedding": 2,
        "unet: first convolution": 1,
        "unet: downsampler": 1,
        "unet: upsampler": 1,
        "unet: last convolution": 1,
    }


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("merged_from", [{"name": "a", "sshs_model_hash": "ff", "weight": 0.5}, {"name": "b"}], "a (weight 0.5), b (weight 1)"),
        ("resized_from", {"name": "dog", "sshs_model_hash": "ff"}, "dog"),
        ("fitted_from", {"name": "dog"}, "dog"),
        ("extracted_from", {"base": "sd15", "tuned": "anime"}, "anime, as it differs from sd15"),
        ("merged_from", 7, "7"),
    ],
)  # fmt: skip
def test_sources_are_told_in_words(name, value, said, lora_file, inspected):
    found = inspected(lora_file(metadata={f"scumble.{name}": json.dumps(value)}))
    assert found.said == {name.replace("_", " "): said}

"""Where the layers' weights lie in a checkpoint file, and LoRAs merged into one."""

import json

import original
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from tests.files.kinds import random_layer
from tests.thinned import thinned

from scumble.config import from_values
from scumble.config.edit import ExtractConfig, MergeConfig
from scumble.edit.extract import extract
from scumble.edit.merge import merge
from scumble.errors import BaseModelError
from scumble.families.find import open_base
from scumble.families.layers import table_of
from scumble.files.lorafile import LoraFile
from scumble.files.read import read_lora, write_lora

FAMILIES = {"sd1": original.SD1, "sd2": original.SD2, "sdxl": original.SDXL}


def table_for(place):
    return table_of(open_base(str(place), prediction_type="epsilon"))


def merged(files, base, out, weights=()):
    return merge(from_values(MergeConfig, {"lora": files, "into": str(base), "out": out, "weights": weights}))


@pytest.fixture
def lora_for(tmp_path):
    """A LoRA of some layers of every part of a base, text encoders' attention among them."""

    def write(place):
        table = table_for(place)
        wanted = ("mid_block.attentions.0", "down_blocks.1.resnets.0.conv1", "up_blocks.1.upsamplers", "layers.0.")
        keys = [key for key in table.shapes if any(name in key for name in wanted)]
        layers = {key: random_layer("lora", table.shapes[key], 2, 1.0, seed=i) for i, key in enumerate(keys)}
        metadata = {"ss_base_model_version": table.identity.base_version}
        write_lora(LoraFile(layers, metadata), tmp_path / "lora.safetensors")
        return tmp_path / "lora.safetensors", table

    return write


@pytest.mark.parametrize("family", thinned(FAMILIES, "sd1"))
def test_every_layer_of_a_file_is_found_with_its_numbers(family, clip_sized, checkpoint):
    ours, folder = table_for(checkpoint(family)), table_for(clip_sized[family][0])
    assert ours.shapes == folder.shapes
    assert ours.stored.keys() == ours.shapes.keys()
    assert all(torch.equal(ours.weight(key), folder.weight(key)) for key in ours.shapes)


def test_a_file_that_lacks_a_layer_says_which(checkpoint):
    name = "model.diffusion_model.middle_block.1.proj_in.weight"
    with pytest.raises(BaseModelError, match=r"for 1 of 294 layers, first unet\.mid_block\.attentions\.0\.proj_in"):
        table_for(checkpoint("sd1", changes={name: None}))


def test_a_layer_of_another_shape_says_so(checkpoint):
    name = "model.diffusion_model.middle_block.1.proj_in.weight"
    table = table_for(checkpoint("sd1", changes={name: torch.ones(3, 3)}))
    with pytest.raises(BaseModelError, match=r"is \[3, 3\], expected \[64, 64, 1, 1\]: it is of another architecture"):
        table.weight("unet.mid_block.attentions.0.proj_in")


@pytest.mark.parametrize("family", thinned(FAMILIES, "sd1"))
def test_a_checkpoint_file_keeps_its_names_and_is_the_merged_folder(family, clip_sized, checkpoint, lora_for, tmp_path):
    folder, _ = clip_sized[family]
    file = checkpoint(family)
    path, table = lora_for(folder)
    merged([path], file, tmp_path / "out.safetensors", (0.8,))
    merged([path], folder, tmp_path / "out", (0.8,))
    before, after = load_file(file), load_file(tmp_path / "out.safetensors")
    assert list(before) == list(after)
    expected = original.tensors_of(tmp_path / "out", FAMILIES[family])
    assert all(torch.equal(after[name], tensor) for name, tensor in expected.items())
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    parts = {key.partition(".")[0] for key in read_lora(path, table.paths()).layers}
    assert len(changed) >= 18
    assert {"unet", "text_encoder"} <= parts
    assert any(name.startswith("model.diffusion_model.output_blocks") for name in changed)
    assert any(name.startswith(("cond_stage_model.", "conditioner.")) for name in changed)
    assert not any(name.startswith("first_stage_model.") for name in changed)


def test_a_checkpoint_says_what_it_was_merged_from_and_keeps_no_hash(checkpoint, lora_for, clip_sized, tmp_path):
    file = checkpoint(
        "sd1",
        metadata={"modelspec.title": "mine", "modelspec.hash_sha256": "0x12", "modelspec.merged_from": "first"},
        changes={"model_ema.decay": torch.tensor(0.9)},
    )
    path, _ = lora_for(clip_sized["sd1"][0])
    done = merged([path], file, tmp_path / "out.safetensors", (0.8,))
    with safe_open(tmp_path / "out.safetensors", "pt") as stream:
        metadata = stream.metadata()
    assert metadata["modelspec.title"] == "mine"
    assert metadata["modelspec.merged_from"] == "first, lora"
    assert json.loads(metadata["scumble.merged_from"]) == [{"name": "lora", "weight": 0.8}]
    assert "modelspec.hash_sha256" not in metadata
    assert done.notes == ("1 averaged (EMA) weights are left as they were; programs draw with the others",)


def test_what_was_merged_into_a_file_is_extracted_from_it_again(clip_sized, checkpoint, lora_for, tmp_path):
    path, table = lora_for(clip_sized["sd1"][0])
    file = checkpoint("sd1")
    merged([path], file, tmp_path / "merged.safetensors")
    values = {
        "base": str(file),
        "tuned": str(tmp_path / "merged.safetensors"),
        "out": tmp_path / "out.safetensors",
        "rank": 2,
    }
    done = extract(from_values(ExtractConfig, values))
    assert done.error.relative < 1e-5
    assert done.beyond == ()
    assert set(read_lora(values["out"], table.paths()).layers) == set(read_lora(path, table.paths()).layers)

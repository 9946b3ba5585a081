import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from scumble.adapters.targets import find_targets
from scumble.edit.independent import read_independently
from scumble.errors import LoraFileError
from scumble.files.lorafile import LoraFile, LoraLayer
from scumble.files.read import write_lora


@pytest.fixture(scope="module")
def unet():
    from diffusers import UNet2DConditionModel

    torch.manual_seed(0)
    return UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(16, 32),
        norm_num_groups=8,
        cross_attention_dim=24,
        attention_head_dim=4,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
    )


@pytest.fixture(scope="module")
def lora(unet):
    layers = {}
    for path in find_targets(unet, ["attention", "*.ff.net.2", "*.time_emb_proj"]):
        out_features, in_features = unet.get_submodule(path).weight.shape
        tensors = {"down": torch.randn(4, in_features), "up": torch.randn(out_features, 4)}
        layers[f"unet.{path}"] = LoraLayer("lora", tensors, 4, 3.0)
    return LoraFile(layers)


@pytest.mark.parametrize("format", ["kohya", "diffusers"])
def test_diffusers_finds_the_change_of_every_layer(format, unet, lora, tmp_path):
    path = tmp_path / "a 图.safetensors"
    write_lora(lora, path, format)
    changes = read_independently(path, unet.config)
    assert set(changes) == set(lora.layers)
    for name, layer in lora.part("unet").items():
        change = changes[f"unet.{name}"]
        assert change.shape == unet.get_submodule(name).weight.shape
        torch.testing.assert_close(change, 0.75 * (layer.tensors["up"] @ layer.tensors["down"]))


def test_a_wrong_alpha_is_seen(unet, lora, tmp_path):
    write_lora(lora, tmp_path / "a.safetensors")
    tensors = load_file(tmp_path / "a.safetensors")
    save_file({k: v * 2 if k.endswith(".alpha") else v for k, v in tensors.items()}, tmp_path / "b.safetensors")
    right = read_independently(tmp_path / "a.safetensors", unet.config)
    doubled = read_independently(tmp_path / "b.safetensors", unet.config)
    assert all(torch.allclose(doubled[name], 2 * right[name]) for name in right)


def test_alphas_that_diffusers_would_not_apply_are_an_error(unet, lora, tmp_path):
    write_lora(lora, tmp_path / "a.safetensors")
    tensors = load_file(tmp_path / "a.safetensors")
    tensors[next(key for key in tensors if key.endswith(".alpha"))] += 1
    save_file(tensors, tmp_path / "b.safetensors")
    with pytest.raises(LoraFileError, match="several alphas"):
        read_independently(tmp_path / "b.safetensors", unet.config)


def test_a_tensor_that_diffusers_does_not_understand_is_an_error(unet, lora, tmp_path):
    for format, extra in (("kohya", "lora_unet_conv_in.surprise"), ("diffusers", "unet.conv_in.surprise")):
        write_lora(lora, tmp_path / "a.safetensors", format)
        tensors = {**load_file(tmp_path / "a.safetensors"), extra: torch.ones(1)}
        save_file(tensors, tmp_path / "b.safetensors")
        with pytest.raises(LoraFileError, match="diffusers"):
            read_independently(tmp_path / "b.safetensors", unet.config)


def test_settings_in_the_metadata_are_an_error(unet, lora, tmp_path):
    write_lora(lora, tmp_path / "a.safetensors", "diffusers")
    metadata = {"lora_adapter_metadata": json.dumps({"unet.r": 4, "unet.lora_alpha": 3})}
    save_file(load_file(tmp_path / "a.safetensors"), tmp_path / "b.safetensors", metadata)
    with pytest.raises(LoraFileError, match="PEFT settings"):
        read_independently(tmp_path / "b.safetensors", unet.config)


@pytest.mark.parametrize("content", [b"", b"\x80\x02}q\x00.", b"\x10" + bytes(40)])
def test_a_damaged_file_is_an_error(content, unet, tmp_path):
    (tmp_path / "a.safetensors").write_bytes(content)
    with pytest.raises(LoraFileError, match="diffusers cannot read"):
        read_independently(tmp_path / "a.safetensors", unet.config)


def test_a_missing_file_is_an_error(unet, tmp_path):
    with pytest.raises(LoraFileError):
        read_independently(tmp_path / "none.safetensors", unet.config)

"""Stability's names of the denoiser's layers, and the namings of ComfyUI, OneTrainer and SimpleTuner."""

import pytest
import torch
from kinds import random_layer

from scumble.edit.independent import read_independently
from scumble.errors import LoraFileError
from scumble.files import kohya, peft_keys
from scumble.files.lorafile import LoraFile
from scumble.files.namings import DOTTED, PEFT, UNDERSCORED, known_names
from scumble.files.read import read_lora, write_lora
from scumble.files.sgm import sgm_path, sgm_paths

XL = {"ss_base_model_version": "sdxl_base_v1-0"}


@pytest.fixture(scope="module")
def sdxl():
    """SDXL's denoiser and text encoders with narrow channels."""
    from diffusers import UNet2DConditionModel

    unet = UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(16, 32, 64),
        norm_num_groups=8,
        cross_attention_dim=32,
        attention_head_dim=8,
        transformer_layers_per_block=(1, 2, 3),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=64,
    )
    return unet.requires_grad_(False)


def _adaptable(model):
    return {
        path: tuple(module.weight.shape)
        for path, module in model.named_modules()
        if isinstance(module, torch.nn.Linear | torch.nn.Conv2d)
    }


@pytest.fixture(scope="module")
def shapes(sdxl):
    text = {
        f"text_model.encoder.layers.0.{name}": (8, 8)
        for name in ("mlp.fc1", "mlp.fc2", *(f"self_attn.{each}_proj" for each in ("q", "k", "v", "out")))
    }
    return {"unet": _adaptable(sdxl), "text_encoder": text, "text_encoder_2": {**text, "text_projection": (8, 8)}}


@pytest.fixture(scope="module")
def paths(shapes):
    return {part: list(by_path) for part, by_path in shapes.items()}


@pytest.fixture(scope="module")
def everything(shapes):
    layers = {
        f"{part}.{path}": random_layer("lora", shape, 2, 3.0, i)
        for part, by_path in shapes.items()
        for i, (path, shape) in enumerate(by_path.items())
    }
    return LoraFile(layers, XL)


def _same(file, other):
    assert file.layers.keys() == other.layers.keys()
    for key, layer in file.layers.items():
        assert layer.alpha == other.layers[key].alpha
        assert all(torch.equal(tensor, other.layers[key].tensors[name]) for name, tensor in layer.tensors.items())


@pytest.mark.parametrize("base", ["two encoders", "one"])
def test_names_of_stability_are_those_that_diffusers_converts_checkpoints_by(base, sdxl, narrow_unet):
    from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint

    unet = sdxl if base == "two encoders" else narrow_unet
    names = sgm_paths(_adaptable(unet))
    checkpoint = {}
    for i, name in enumerate(names.values()):
        checkpoint[f"model.diffusion_model.{name}.weight"] = torch.tensor(float(i))
        checkpoint[f"model.diffusion_model.{name}.bias"] = torch.tensor(0.0)
    converted = convert_ldm_unet_checkpoint(checkpoint, unet.config)
    assert len(names) > 250
    assert {path: converted[f"{path}.weight"].item() for path in names} == {path: i for i, path in enumerate(names)}


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("conv_in", "input_blocks.0.0"),
        ("down_blocks.0.downsamplers.0.conv", "input_blocks.3.0.op"),
        ("down_blocks.1.resnets.0.conv_shortcut", "input_blocks.4.0.skip_connection"),
        (
            "down_blocks.2.attentions.1.transformer_blocks.2.ff.net.0.proj",
            "input_blocks.8.1.transformer_blocks.2.ff.net.0.proj",
        ),
        ("mid_block.resnets.1.time_emb_proj", "middle_block.2.emb_layers.1"),
        ("mid_block.attentions.0.proj_in", "middle_block.1.proj_in"),
        ("up_blocks.0.upsamplers.0.conv", "output_blocks.2.2.conv"),
        ("up_blocks.2.resnets.2.conv2", "output_blocks.8.0.out_layers.3"),
        ("time_embedding.linear_2", "time_embed.2"),
        ("add_embedding.linear_1", "label_emb.0.0"),
        ("conv_out", "out.2"),
        ("somewhere.else", None),
    ],
)
def test_a_layer_has_the_name_that_stability_gave_it(path, name):
    assert sgm_path(path) == name


def test_the_upsampler_of_a_block_without_attention_is_one_place_earlier(layer_paths):
    names = sgm_paths(layer_paths["unet"])  # Stable Diffusion 1.5: the first up block has no attention
    assert names["up_blocks.0.upsamplers.0.conv"] == "output_blocks.2.1.conv"
    assert names["up_blocks.1.upsamplers.0.conv"] == "output_blocks.5.2.conv"


def test_every_layer_has_a_name_and_no_two_have_the_same(paths, layer_paths):
    for unet in (paths["unet"], layer_paths["unet"]):
        names = sgm_paths(unet)
        assert names.keys() == set(unet)
        assert len({name.replace(".", "_") for name in names.values()}) == len(unet)


@pytest.mark.parametrize("namings", [UNDERSCORED, DOTTED], ids=["underscored", "dotted"])
def test_no_name_in_a_file_may_mean_two_layers(namings, paths, layer_paths):
    for each in (paths, layer_paths):
        assert {name: keys for name, keys in known_names(namings, each).items() if len(keys) > 1} == {}


def test_only_pefts_folders_do_not_tell_the_text_encoders_apart(paths):
    ambiguous = {name for name, keys in known_names(PEFT, paths).items() if len(keys) > 1}
    assert len(ambiguous) == 12
    assert all("encoder.layers" in name and name.startswith("base_model.model.") for name in ambiguous)


def test_kohya_is_written_with_stabilitys_names_for_a_base_of_two_encoders(everything, paths, tmp_path):
    tensors, _ = kohya.write(everything)
    assert "lora_unet_input_blocks_4_1_transformer_blocks_0_attn1_to_q.lora_down.weight" in tensors
    assert "lora_te2_text_model_encoder_layers_0_mlp_fc1.alpha" in tensors
    assert not any("down_blocks" in name or "up_blocks" in name for name in tensors)
    write_lora(everything, tmp_path / "a.safetensors")
    _same(read_lora(tmp_path / "a.safetensors", paths), everything)


def test_kohya_is_read_with_diffusers_names_for_the_same_base(everything, paths):
    plain = LoraFile({key: layer for key, layer in everything.layers.items() if key.startswith("unet.")})
    tensors, metadata = kohya.write(plain)
    assert "lora_unet_down_blocks_1_attentions_0_proj_in.alpha" in tensors
    _same(kohya.read(tensors, metadata, paths), plain)


def test_both_namings_in_one_file_are_read_and_a_layer_in_both_is_an_error(everything, paths):
    unet = {key: layer for key, layer in everything.layers.items() if key.startswith("unet.")}
    first, second = dict(list(unet.items())[::2]), dict(list(unet.items())[1::2])
    tensors = kohya.write(LoraFile(first, XL))[0] | kohya.write(LoraFile(second))[0]
    _same(kohya.read(tensors, {}, paths), LoraFile(unet))
    twice = kohya.write(LoraFile(first, XL))[0] | kohya.write(LoraFile(first))[0]
    with pytest.raises(LoraFileError, match="is there twice, the second time as lora_unet_"):
        kohya.read(twice, {}, paths)


def test_a_layer_that_has_no_name_there_is_not_written():
    layer = random_layer("lora", (4, 4), 2, 3.0, 0)
    with pytest.raises(LoraFileError, match="has no name in kohya's naming for this base: write diffusers'"):
        kohya.write(LoraFile({"unet.somewhere.else": layer}, XL))


def test_two_layers_with_one_name_are_not_written():
    layer = random_layer("lora", (4, 4), 2, 3.0, 0)
    with pytest.raises(LoraFileError, match="are both lora_unet_a_b_c in kohya's naming"):
        kohya.write(LoraFile({"unet.a.b_c": layer, "unet.a_b.c": layer}))


def _comfy(key):
    part, _, path = key.partition(".")
    if part == "unet":
        return f"diffusion_model.{sgm_path(path)}"
    return f"text_encoders.clip_{'l' if part == 'text_encoder' else 'g'}.transformer.{path}"


def _omi(key):
    part, _, path = key.partition(".")
    return f"unet.{sgm_path(path)}" if part == "unet" else f"clip_{'l' if part == 'text_encoder' else 'g'}.{path}"


def _one_trainer(key):
    part, _, path = key.partition(".")
    return f"{ {'unet': 'lora_unet', 'text_encoder': 'lora_te1', 'text_encoder_2': 'lora_te2'}[part] }.{path}"


NAMES = {
    "ComfyUI": (_comfy, {"down": "lora_A.weight", "up": "lora_B.weight"}),
    "ComfyUI's LoraSave": (_comfy, {"down": "lora_down.weight", "up": "lora_up.weight"}),
    "OneTrainer's OMI": (_omi, {"down": "lora_down.weight", "up": "lora_up.weight"}),
    "OneTrainer's own": (_one_trainer, {"down": "lora_down.weight", "up": "lora_up.weight"}),
}


@pytest.mark.parametrize("naming", NAMES)
def test_the_names_of_other_programs_are_read(naming, everything, paths, tmp_path):
    from safetensors.torch import save_file

    spell, sides = NAMES[naming]
    tensors = {}
    for key, layer in everything.layers.items():
        tensors |= {f"{spell(key)}.{sides[side]}": tensor for side, tensor in layer.tensors.items()}
        tensors[f"{spell(key)}.alpha"] = torch.tensor(layer.alpha)
    save_file(tensors, tmp_path / "a.safetensors", XL)
    _same(read_lora(tmp_path / "a.safetensors", paths), everything)


@pytest.mark.parametrize("kind", ["lokr", "loha", "lora"])
def test_the_names_of_lycoriss_wrapper_are_read(kind, shapes, paths, tmp_path):
    from safetensors.torch import save_file

    layers = {f"unet.{path}": random_layer(kind, shape, 1, 2.0, 0) for path, shape in shapes["unet"].items()}
    tensors = {
        name.replace("lora_unet_", "lycoris_"): tensor.contiguous()
        for name, tensor in kohya.write(LoraFile(layers))[0].items()
    }
    save_file(tensors, tmp_path / "a.safetensors")
    _same(read_lora(tmp_path / "a.safetensors", paths), LoraFile(layers))


def test_loha_and_lokr_are_read_with_dots_in_their_names_too(shapes, paths):
    for kind, begin in (("lokr", "lokr_"), ("loha", "hada_")):
        layer = random_layer(kind, shapes["unet"]["conv_out"], 1, 2.0, 0)
        tensors = {f"diffusion_model.out.2.{begin}{name}": tensor for name, tensor in layer.tensors.items()}
        tensors["diffusion_model.out.2.alpha"] = torch.tensor(2.0)
        _same(peft_keys.read(tensors, {}, paths), LoraFile({"unet.conv_out": layer}))


def test_diffusers_understands_the_file_of_a_base_of_two_encoders(everything, sdxl, delta, tmp_path):
    attention = {key: layer for key, layer in everything.layers.items() if key.startswith("unet.") and ".attn" in key}
    write_lora(LoraFile(attention, XL), tmp_path / "a.safetensors")
    changes = read_independently(tmp_path / "a.safetensors", sdxl.config)
    assert len(changes) == len(attention) > 100
    for key, layer in attention.items():
        torch.testing.assert_close(changes[key], delta(layer), rtol=1e-5, atol=1e-6)

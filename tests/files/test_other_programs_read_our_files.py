"""Files written for the narrow SD 1.5, in diffusers with PEFT; alpha is never the rank."""

import pytest
import torch
from kinds import random_layer as random_kind
from kinds import weight_of
from safetensors.torch import load_file

from scumble.adapters.inject import attach, eject
from scumble.adapters.lora import from_tensors
from scumble.files.lorafile import LoraFile
from scumble.files.read import read_lora, write_lora

peft = pytest.importorskip("peft")


@pytest.fixture
def pipe(narrow_unet, narrow_text_encoder):
    from diffusers import DDIMScheduler, StableDiffusionPipeline

    pipe = StableDiffusionPipeline(
        vae=None,
        text_encoder=narrow_text_encoder,
        tokenizer=None,
        unet=narrow_unet,
        scheduler=DDIMScheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    yield pipe
    pipe.unload_lora_weights()


def _drawn(unet):
    generator = torch.Generator().manual_seed(5)
    noisy = torch.randn(2, 4, 8, 8, generator=generator)
    text = torch.randn(2, 7, 32, generator=generator)
    with torch.no_grad():
        return unet(noisy, torch.tensor([100, 700]), text).sample


def _ours(unet, file):
    layers = file.part("unet")
    adapters = {
        path: from_tensors(unet.get_submodule(path), layer.tensors, layer.rank, layer.alpha, path)
        for path, layer in layers.items()
    }
    attach(unet, "lora", adapters)
    drawn = _drawn(unet)
    eject(unet)
    return drawn


@pytest.mark.parametrize("format", ["kohya", "diffusers"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_diffusers_draws_what_we_draw(format, dtype, pipe, lora, layer_paths, tmp_path):
    path = tmp_path / "a.safetensors"
    write_lora(lora, path, format, dtype)
    ours = _ours(pipe.unet, read_lora(path, layer_paths))
    base = _drawn(pipe.unet)
    pipe.load_lora_weights(str(path))
    theirs = _drawn(pipe.unet)
    assert (ours - base).abs().max() > 0.1
    assert (ours - theirs).abs().max() < 1e-5


@pytest.mark.parametrize("format", ["kohya", "diffusers"])
def test_half_precision_changes_the_picture_little(format, pipe, lora, layer_paths, tmp_path):
    write_lora(lora, tmp_path / "a.safetensors", format, torch.float16)
    exact = _ours(pipe.unet, lora)
    assert (_ours(pipe.unet, read_lora(tmp_path / "a.safetensors", layer_paths)) - exact).abs().max() < 5e-3


@pytest.mark.parametrize("format", ["kohya", "diffusers"])
def test_diffusers_gives_mixed_ranks_their_alphas(format, pipe, attention_paths, new_layer, tmp_path):
    layers = {
        f"unet.{path}": new_layer(pipe.unet, path, rank=2 + i % 3, alpha=1.5 + i % 5)
        for i, path in enumerate(attention_paths)
    }
    write_lora(LoraFile(layers), tmp_path / "a.safetensors", format)
    ours = _ours(pipe.unet, LoraFile(layers))
    pipe.load_lora_weights(str(tmp_path / "a.safetensors"))
    assert (_drawn(pipe.unet) - ours).abs().max() < 1e-5


PLACES = [
    "down_blocks.0.attentions.0.transformer_blocks.0.ff.net.0.proj",
    "down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q",
    "down_blocks.1.attentions.0.proj_in",
    "down_blocks.1.resnets.0.conv1",
]


@pytest.mark.parametrize(
    ("format", "dora", "conv"),
    [("kohya", None, "lora"), ("diffusers", None, "tucker"), ("diffusers", "output", "lora")],
)
def test_diffusers_weighs_convolutions_and_dora_as_we_do(format, dora, conv, pipe, tmp_path):
    base = {path: pipe.unet.get_submodule(path).weight.clone() for path in PLACES}
    layers = {
        f"unet.{path}": random_kind(conv if path.endswith("conv1") else "lora", base[path].shape, 2, 1.5, i, dora)
        for i, path in enumerate(PLACES)
    }
    write_lora(LoraFile(layers), tmp_path / "a.safetensors", format)
    pipe.load_lora_weights(str(tmp_path / "a.safetensors"))
    pipe.unet.fuse_lora()
    fused = {path: pipe.unet.get_submodule(path).base_layer.weight.clone() for path in PLACES}
    pipe.unet.unfuse_lora()
    for path in PLACES:
        change = fused[path] - base[path]
        assert change.norm() / base[path].norm() > 0.1
        assert (weight_of(layers[f"unet.{path}"], base[path]) - fused[path]).norm() / change.norm() < 1e-5


@pytest.mark.parametrize("format", ["kohya", "diffusers"])
def test_diffusers_takes_every_text_encoder_layer(format, pipe, layer_paths, new_layer, delta, tmp_path):
    modules = dict(pipe.text_encoder.named_modules())
    layers = {}
    for path in layer_paths["text_encoder"]:
        inside = path if path in modules else path.removeprefix("text_model.")
        layers[f"text_encoder.{path}"] = new_layer(pipe.text_encoder, inside)
    write_lora(LoraFile(layers), tmp_path / "a.safetensors", format)
    pipe.load_lora_weights(str(tmp_path / "a.safetensors"), adapter_name="x")
    theirs = _deltas_of_peft(pipe.text_encoder, "x")
    assert len(theirs) == len(layers) == 12
    for key, layer in layers.items():
        path = key.removeprefix("text_encoder.").removeprefix("text_model.")
        torch.testing.assert_close(theirs[path], delta(layer), rtol=1e-5, atol=1e-6)


def test_what_diffusers_saves_with_alpha_in_its_settings_is_read_right(
    pipe, attention_paths, layer_paths, delta, tmp_path
):
    from diffusers import StableDiffusionPipeline
    from diffusers.training_utils import _collate_lora_metadata
    from peft.utils import get_peft_model_state_dict

    config = peft.LoraConfig(
        r=4,
        lora_alpha=6,
        rank_pattern={attention_paths[0]: 2},
        alpha_pattern={attention_paths[0]: 5, attention_paths[4]: 1},
        init_lora_weights=False,
        target_modules=["to_q", "to_out.0"],
    )
    pipe.unet.add_adapter(config, "default")
    StableDiffusionPipeline.save_lora_weights(
        tmp_path,
        unet_lora_layers=get_peft_model_state_dict(pipe.unet, adapter_name="default"),
        weight_name="a.safetensors",
        **_collate_lora_metadata({"unet": pipe.unet}),
    )
    theirs = _deltas_of_peft(pipe.unet, "default")
    ours = read_lora(tmp_path / "a.safetensors", layer_paths).part("unet")
    assert set(ours) == set(theirs)
    assert len(ours) == 64
    for path, layer in ours.items():
        torch.testing.assert_close(delta(layer), theirs[path], rtol=1e-5, atol=1e-6)


def test_lycoris_reads_our_kohya_names(pipe, lora, delta, tmp_path):
    modules = pytest.importorskip("lycoris.modules")
    write_lora(lora, tmp_path / "a.safetensors")
    weights = load_file(tmp_path / "a.safetensors")
    for key, layer in lora.layers.items():
        name = "lora_" + key.replace(".", "_")
        kind, numbers = modules.get_module(weights, name)
        module = modules.make_module(kind, numbers, name, pipe.unet.get_submodule(key.removeprefix("unet.")))
        change, _ = module.get_diff_weight()
        torch.testing.assert_close(change, delta(layer), rtol=1e-5, atol=1e-6)


def _deltas_of_peft(model, name):
    from peft.tuners.lora import LoraLayer

    return {
        path.removeprefix("text_model."): module.get_delta_weight(name).detach()
        for path, module in model.named_modules()
        if isinstance(module, LoraLayer) and name in module.lora_A
    }

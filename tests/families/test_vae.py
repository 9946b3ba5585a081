"""Another autoencoder than the base's own: from a folder, a pipeline folder, a file, or the hub's cache."""

import json
import shutil
from dataclasses import replace

import original
import pytest
import torch
from safetensors.torch import save_file

from scumble.errors import BaseModelError, ConfigError
from scumble.families.find import open_base

CPU = torch.device("cpu")


@pytest.fixture
def other(tiny_base, tmp_path):
    """A pipeline folder whose autoencoder has other numbers."""
    folder = shutil.copytree(tiny_base, tmp_path / "other")
    weights = {name: tensor * 0.9 for name, tensor in original.weights_of(folder, "vae").items()}
    save_file(weights, folder / "vae" / "diffusion_pytorch_model.safetensors", {"format": "pt"})
    return folder


def as_a_file(other, tmp_path, prefix, renamed):
    weights = original.weights_of(other, "vae")
    named = original.original_vae(weights) if renamed else weights
    path = tmp_path / "vae.safetensors"
    save_file({prefix + name: tensor.contiguous() for name, tensor in named.items()}, path)
    return path


PLACES = {
    "a pipeline folder": lambda other, tmp_path: other,
    "a folder of its own": lambda other, tmp_path: other / "vae",
    "a file": lambda other, tmp_path: as_a_file(other, tmp_path, "", True),
    "a checkpoint file": lambda other, tmp_path: as_a_file(other, tmp_path, "first_stage_model.", True),
    "a file with diffusers' names": lambda other, tmp_path: as_a_file(other, tmp_path, "", False),
}


@pytest.mark.parametrize("place", PLACES)
def test_the_other_autoencoder_is_the_one_that_decodes(tiny_base, other, tmp_path, no_network, place):
    plain, wanted = open_base(str(tiny_base)), open_base(str(other))
    base = open_base(str(tiny_base), vae=str(PLACES[place](other, tmp_path)))
    latents = torch.randn(1, 4, 4, 4)
    decoded = base.load_autoencoder(CPU).decode(latents)
    torch.testing.assert_close(decoded, wanted.load_autoencoder(CPU).decode(latents), rtol=0, atol=1e-6)
    assert (decoded - plain.load_autoencoder(CPU).decode(latents)).abs().max() > 1e-3
    assert base.hashes()["vae"] != plain.hashes()["vae"]
    assert base.hashes()["text_encoder"] == plain.hashes()["text_encoder"]


def test_a_checkpoint_file_without_an_autoencoder_needs_one(checkpoint, clip_sized):
    folder, tensors = clip_sized["sdxl"]
    without = {name: None for name in tensors if name.startswith("first_stage_model.")}
    path = str(checkpoint("sdxl", marks=("v_pred",), changes=without))
    with pytest.raises(BaseModelError, match="holds no autoencoder: name one with --vae"):
        open_base(path)
    autoencoder = open_base(path, vae=str(folder)).load_autoencoder(CPU)
    assert autoencoder.scale == 0.13025


def test_an_unmarked_file_without_an_autoencoder_is_still_asked_what_it_predicts(checkpoint, clip_sized):
    folder, tensors = clip_sized["sdxl"]
    without = {name: None for name in tensors if name.startswith("first_stage_model.")}
    base = open_base(str(checkpoint("sdxl", changes=without)), vae=str(folder))
    assert any("its denoiser was asked" in note for note in base.notes)


@pytest.mark.parametrize(("key", "value"), [("scaling_factor", 0.13025), ("latent_channels", 16)])
def test_an_autoencoder_of_another_family_is_refused(tiny_base, other, key, value):
    place = other / "vae" / "config.json"
    place.write_text(json.dumps({**json.loads(place.read_text()), key: value}))
    with pytest.raises(ConfigError, match=f"{value}.* it is for another family"):
        open_base(str(tiny_base), vae=str(other))


def test_what_is_no_autoencoder_is_said(tiny_base, tmp_path):
    save_file({"lora_unet_x.lora_up.weight": torch.ones(1)}, tmp_path / "x.safetensors")
    with pytest.raises(BaseModelError, match="holds no autoencoder, expected names such as"):
        open_base(str(tiny_base), vae=str(tmp_path / "x.safetensors"))


def test_one_that_is_not_there_is_said(tiny_base):
    with pytest.raises(BaseModelError, match="nothing: no such folder"):
        open_base(str(tiny_base), vae="./nothing")


def theirs(base, is_sliced, is_tiled):
    """diffusers' own autoencoder, with its own switches."""
    from diffusers import AutoencoderKL

    model = AutoencoderKL.from_pretrained(base.path / "vae").requires_grad_(False)
    if is_sliced:
        model.enable_slicing()
    if is_tiled:
        model.enable_tiling()
    return model


def test_slices_are_always_cut_and_change_nothing_but_the_batch(tiny_base):
    """A batch gives what each picture gives alone, to the bit."""
    autoencoder = open_base(str(tiny_base)).load_autoencoder(CPU)
    pixels, latents = torch.rand(3, 3, 64, 48) * 2 - 1, torch.randn(3, 4, 8, 6)
    means, stds = autoencoder.encode(pixels)
    decoded = autoencoder.decode(latents)
    for index in range(3):
        mean, std = autoencoder.encode(pixels[index : index + 1])
        assert torch.equal(mean[0], means[index])
        assert torch.equal(std[0], stds[index])
        assert torch.equal(autoencoder.decode(latents[index : index + 1])[0], decoded[index])
    base = open_base(str(tiny_base))
    whole = theirs(base, is_sliced=False, is_tiled=False).encode(pixels).latent_dist.mean * autoencoder.scale
    torch.testing.assert_close(means, whole, rtol=1e-5, atol=1e-6)


def test_tiles_are_those_of_diffusers(tiny_base):
    """The tiny autoencoder is made for 32 px, so its tiles are that large, as diffusers has it."""
    base = open_base(str(tiny_base))
    tiled = base.with_tiles()
    assert tiled.tile_px == 32
    pixels, latents = torch.rand(1, 3, 80, 56) * 2 - 1, torch.randn(1, 4, 10, 7)
    model, ours, plain = theirs(base, True, True), tiled.load_autoencoder(CPU), base.load_autoencoder(CPU)
    assert torch.equal(ours.encode(pixels)[0], model.encode(pixels).latent_dist.mean * ours.scale)
    assert torch.equal(ours.decode(latents), model.decode(latents / ours.scale).sample)
    assert not torch.equal(ours.decode(latents), plain.decode(latents))
    assert torch.equal(ours.encode(pixels[..., :32, :32])[0], plain.encode(pixels[..., :32, :32])[0])


def test_tiles_are_never_larger_than_512_px_and_change_the_hash(tiny_base):
    base = open_base(str(tiny_base))
    tiled = base.with_tiles()
    assert base.hashes()["vae"] != tiled.hashes()["vae"]
    assert base.hashes()["text_encoder"] == tiled.hashes()["text_encoder"]
    assert not base.vae.is_tiled
    large = replace(base.vae, config={**base.vae.config, "sample_size": 1024})
    assert large.tile_px == 512
    model = large.tiled().load(CPU).model
    assert (model.tile_sample_min_size, model.tile_latent_min_size) == (512, 64)

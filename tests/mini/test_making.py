"""The recipe, a few steps of it: every stage runs, is deterministic, and goes on after a stop."""

from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline
from safetensors.torch import load_file

from scumble.errors import CheckpointError, ConfigError
from scumble.mini.architecture import LATENT_SCALE, build, build_scheduler
from scumble.mini.autoencoder import autoencoder_batch, fold_normalisation
from scumble.mini.captions import CaptionShares
from scumble.mini.config import PretrainConfig
from scumble.mini.denoiser import denoiser_batch, encode_chunk, min_snr_weight, paint_scenes
from scumble.mini.handwriting import read_handwriting, split
from scumble.mini.judge_data import judge_batch
from scumble.mini.pretrain import parse_classes, pretrain
from scumble.train.events import Finished, Saved, Stepped


def small(out: Path) -> PretrainConfig:
    return PretrainConfig(
        out=out, vae_steps=2, vae_batch_size=2, pool_size=10, denoiser_steps=3, denoiser_batch_size=4, judge_steps=2,
        judge_batch_size=4, checkpoint_minutes=0, examine_rounds=0,
    )  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mini")
    return folder, list(pretrain(small(folder)))


@pytest.mark.slow
def test_a_made_folder_is_an_ordinary_pipeline(made):
    folder, events = made
    assert isinstance(events[-1], Finished)
    pipeline = StableDiffusionPipeline.from_pretrained(folder)
    pipeline.set_progress_bar_config(disable=True)
    assert pipeline("a handwritten three", num_inference_steps=2).images[0].size == (64, 64)


@pytest.mark.slow
def test_the_weights_are_float16_and_small(made):
    folder, _ = made
    files = [path for path in folder.rglob("*.safetensors") if "checkpoints" not in path.parts]
    assert len(files) == 4
    assert sum(path.stat().st_size for path in files) < 16 * 1024**2
    assert {t.dtype for path in files for t in load_file(path).values()} == {torch.float16}


@pytest.mark.slow
def test_layer_names_are_those_of_sd15(made):
    folder, _ = made
    names = load_file(folder / "unet" / "diffusion_pytorch_model.safetensors")
    assert "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.weight" in names
    assert names["mid_block.attentions.0.proj_in.weight"].ndim == 4


@pytest.mark.slow
def test_a_run_cut_short_goes_on_to_the_same_weights(made, tmp_path):
    whole, _ = made
    events = pretrain(small(tmp_path))
    for event in events:
        if isinstance(event, Saved) and event.what == "checkpoint of denoiser":
            break
    events.close()
    later = list(pretrain(small(tmp_path)))
    assert sum(isinstance(event, Stepped) for event in later) < 7
    for name in ("unet/diffusion_pytorch_model.safetensors", "judge.safetensors"):
        one, other = load_file(whole / name), load_file(tmp_path / name)
        assert all(torch.equal(one[key], other[key]) for key in one)


@pytest.mark.slow
def test_other_settings_do_not_go_on_from_it(made):
    folder, _ = made
    with pytest.raises(CheckpointError, match="other settings"):
        list(pretrain(small(folder).model_copy(update={"kl_weight": 1.0})))


def test_folding_changes_no_picture_and_gives_unit_latents():
    vae = build(0).vae.eval()
    pictures = autoencoder_batch(read_handwriting(), 0, 0, 16)
    with torch.no_grad():
        before = vae.decode(vae.encode(pictures).latent_dist.mean).sample
        fold_normalisation(vae, pictures, LATENT_SCALE)
        posterior = vae.encode(pictures).latent_dist
        after = vae.decode(posterior.mean).sample
    latents = LATENT_SCALE * (posterior.mean + posterior.std * torch.randn(posterior.std.shape))
    assert torch.allclose(before, after, atol=1e-4)
    assert latents.mean(dim=(0, 2, 3)).abs().max() < 0.1
    assert (latents.std(dim=(0, 2, 3)) - 1).abs().max() < 0.15


def test_the_data_of_a_step_depends_on_seed_and_step_alone():
    base, vae, alphas = split(read_handwriting(), "base"), build(0).vae, build_scheduler().alphas_cumprod
    pool = encode_chunk(vae, *paint_scenes(base, 0, 0, 4, 0.5))
    one, other = (denoiser_batch(pool, alphas, 5, 9, 6, CaptionShares()) for _ in range(2))
    assert torch.equal(one.noisy, other.noisy)
    assert one.captions == other.captions
    assert torch.equal(judge_batch(base, 1, 2, 4)[0], judge_batch(base, 1, 2, 4)[0])
    assert not torch.equal(autoencoder_batch(base, 1, 2, 4), autoencoder_batch(base, 1, 3, 4))


def test_scenes_do_not_depend_on_the_chunk_they_are_painted_in():
    base = split(read_handwriting(), "base")
    whole, facts = paint_scenes(base, 0, 0, 6, 0.5)
    tail, tail_facts = paint_scenes(base, 0, 4, 2, 0.5)
    assert torch.allclose(whole[4:], tail, atol=1e-6)
    assert facts[4:] == tail_facts


def test_timesteps_cover_all_noise_levels_in_each_step():
    base, vae, alphas = split(read_handwriting(), "base"), build(0).vae, build_scheduler().alphas_cumprod
    pool = encode_chunk(vae, *paint_scenes(base, 0, 0, 4, 0.5))
    timesteps = denoiser_batch(pool, alphas, 0, 0, 10, CaptionShares()).timesteps
    assert np.array_equal(timesteps.numpy() // 100, np.arange(10))


def test_min_snr_weights_fall_only_above_the_ceiling():
    alpha = torch.tensor([0.5, 5 / 6, 10 / 11])  # SNR 1, 5, 10
    assert torch.allclose(min_snr_weight(alpha, 5.0), torch.tensor([1.0, 1.0, 0.5]))


def test_classes_are_a_range_of_digits():
    assert parse_classes("0-8") == range(9)
    assert parse_classes("3") == range(3, 4)
    for wrong in ("9-0", "0-10", "a"):
        with pytest.raises(ConfigError, match="0-8"):
            parse_classes(wrong)

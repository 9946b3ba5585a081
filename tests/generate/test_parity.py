"""Our pictures are diffusers' pictures, before they are rounded to bytes: Stable Diffusion 1.5's blocks, narrow."""

from dataclasses import replace

import pytest
import torch

from scumble.families.find import open_base
from scumble.files.lorafile import LoraFile
from scumble.files.read import read_lora, write_lora
from scumble.generate.denoise import Start, steps_of_strength
from scumble.generate.draw import Settings, draw_latents
from scumble.generate.painter import Painter
from scumble.generate.recipe import LoraUse

PROMPT, NEGATIVE, SEED = "a handwritten three, red ink on yellow paper", "blue", 11
SETTINGS = Settings(64, 64, steps=4, guidance_scale=5.0)
SCHEDULERS = {
    "DDIM": "DDIMScheduler",
    "Euler a": "EulerAncestralDiscreteScheduler",
    "Heun": "HeunDiscreteScheduler",
    "DDPM": "DDPMScheduler",
}
"""Schedulers of diffusers that compute what our samplers do; docs/how-to/samplers.md says which do not."""


@pytest.fixture(scope="module")
def plain(narrow_base):
    """diffusers' own pipeline, loaded by itself, knowing nothing of scumble."""
    from diffusers import StableDiffusionPipeline

    pipeline = StableDiffusionPipeline.from_pretrained(narrow_base, torch_dtype=torch.float32, safety_checker=None)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


@pytest.fixture(scope="module")
def painter(narrow_base):
    return Painter.load(open_base(str(narrow_base)), torch.device("cpu"), torch.float32)


def their_pixels(pipeline, own_scheduler, sampler, **how):
    import diffusers

    pipeline.scheduler = getattr(diffusers, SCHEDULERS[sampler]).from_config(own_scheduler, **how)
    return pipeline(
        PROMPT,
        negative_prompt=NEGATIVE,
        num_inference_steps=SETTINGS.steps,
        guidance_scale=SETTINGS.guidance_scale,
        generator=torch.Generator().manual_seed(SEED),
        width=64,
        height=64,
        output_type="pt",
    ).images


def our_pixels(painter, sampler):
    positive, negative = painter.text_states([PROMPT, NEGATIVE])
    settings = replace(SETTINGS, sampler=sampler)
    latents = draw_latents(painter.base, painter.denoiser, [positive], [negative], [SEED], settings)
    return (painter.autoencoder.decode(latents) / 2 + 0.5).clamp(0, 1)


@pytest.mark.parametrize(
    ("sampler", "how"),
    [
        ("DDIM", {}),
        ("Euler a", {"timestep_spacing": "linspace"}),
        ("Heun", {"timestep_spacing": "linspace"}),
        ("DDPM", {"timestep_spacing": "leading", "clip_sample": False}),
    ],
)
def test_our_picture_is_that_of_the_plain_pipeline(plain, painter, sampler, how):
    theirs = their_pixels(plain, painter.base.scheduler_config(), sampler, **how)
    torch.testing.assert_close(our_pixels(painter, sampler), theirs, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("sampler", "how"),
    [
        ("Euler a", {"timestep_spacing": "linspace"}),
        ("Heun", {"timestep_spacing": "linspace"}),
    ],
)
def test_our_img2img_is_that_of_the_plain_pipeline(plain, painter, sampler, how):
    """Their strength is the share of steps taken; the WebUI, and so ours, takes one more."""
    import diffusers

    start = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(2))
    scheduler = getattr(diffusers, SCHEDULERS[sampler]).from_config(painter.base.scheduler_config(), **how)
    theirs = diffusers.StableDiffusionImg2ImgPipeline(**{**plain.components, "scheduler": scheduler})
    theirs.set_progress_bar_config(disable=True)
    expected = theirs(
        PROMPT,
        image=start,
        strength=0.75,
        negative_prompt=NEGATIVE,
        num_inference_steps=SETTINGS.steps,
        guidance_scale=SETTINGS.guidance_scale,
        generator=torch.Generator().manual_seed(SEED),
        output_type="latent",
    ).images
    positive, negative = painter.text_states([PROMPT, NEGATIVE])
    settings = replace(SETTINGS, sampler=sampler)
    skipped = SETTINGS.steps - steps_of_strength(SETTINGS.steps, 0.5)
    ours = draw_latents(
        painter.base, painter.denoiser, [positive], [negative], [SEED], settings, start=Start(start, skipped)
    )
    torch.testing.assert_close(ours, expected, rtol=0, atol=2e-5)


@pytest.fixture
def lora(painter, make_lora, make_layer):
    """A LoRA of the denoiser's attention and of the text encoder's."""
    base = painter.base
    generator = torch.Generator().manual_seed(9)
    width = base.text_shapes()["hidden"][-1]
    paths = [path for path in base.layer_paths()["text_encoder"] if "self_attn" in path]
    text = {f"text_encoder.{path}": make_layer((width, width), generator, 0.2) for path in paths}
    return LoraFile({**make_lora(size=0.2, base=base).layers, **text})


@pytest.mark.parametrize("format", ["kohya", "diffusers"])
def test_a_lora_file_means_the_same_here_and_in_diffusers(plain, painter, lora, tmp_path, format):
    path = tmp_path / "ink.safetensors"
    assert all(layer.rank != layer.alpha for layer in lora.layers.values())
    write_lora(lora, path, format)
    without = our_pixels(painter, "DDIM")
    painter.add_lora("ink", read_lora(path, painter.base.layer_paths()))
    painter.use_loras([LoraUse("ink", 1.0)])
    plain.load_lora_weights(path)
    try:
        ours, theirs = our_pixels(painter, "DDIM"), their_pixels(plain, painter.base.scheduler_config(), "DDIM")
    finally:
        painter.remove_lora("ink")
        plain.unload_lora_weights()
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-4)
    assert (ours - without).abs().max() > 0.05

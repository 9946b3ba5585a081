"""Our SDXL pictures are diffusers' pictures, before they are rounded to bytes: SDXL's blocks, narrow."""

from dataclasses import replace

import pytest
import torch
from tests.thinned import thinned

from scumble.families.find import open_base
from scumble.files.lorafile import LoraFile
from scumble.files.read import read_lora, write_lora
from scumble.generate.draw import Settings, draw_latents
from scumble.generate.painter import Painter
from scumble.generate.recipe import LoraUse, Recipe

PROMPT, SEED = "a handwritten three, red ink on yellow paper", 11
SETTINGS = Settings(80, 64, steps=3, guidance_scale=5.0)
SCHEDULERS = {"DDIM": "DDIMScheduler", "Euler a": "EulerAncestralDiscreteScheduler"}
DDIM = {"clip_sample": False, "timestep_spacing": "leading", "set_alpha_to_one": False}


@pytest.fixture(scope="module")
def plain(sdxl_base):
    """diffusers' own pipeline, loaded by itself, knowing nothing of scumble."""
    from diffusers import StableDiffusionXLPipeline

    pipeline = StableDiffusionXLPipeline.from_pretrained(sdxl_base, torch_dtype=torch.float32, add_watermarker=False)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


@pytest.fixture(scope="module")
def painter(sdxl_base):
    return Painter.load(open_base(str(sdxl_base)), torch.device("cpu"), torch.float32)


def their_pixels(plain, painter, sampler, negative, **how):
    import diffusers

    own = painter.base.scheduler_config()
    plain.scheduler = getattr(diffusers, SCHEDULERS[sampler]).from_config(own, **how)
    return plain(
        PROMPT,
        negative_prompt=negative,
        num_inference_steps=SETTINGS.steps,
        guidance_scale=SETTINGS.guidance_scale,
        generator=torch.Generator().manual_seed(SEED),
        width=SETTINGS.width,
        height=SETTINGS.height,
        output_type="pt",
    ).images


def pixels(painter, sampler, negative=""):
    positive, away = painter.text_states([PROMPT]), painter.negative_states([negative])
    settings = replace(SETTINGS, sampler=sampler)
    latents = draw_latents(painter.base, painter.denoiser, positive, away, [SEED], settings)
    return (painter.autoencoder.decode(latents) / 2 + 0.5).clamp(0, 1)


@pytest.mark.parametrize(
    ("sampler", "how"),
    [
        ("DDIM", DDIM),
        ("Euler a", {"timestep_spacing": "linspace"}),
    ],
)
@pytest.mark.parametrize("negative", [None, "blue"], ids=["no negative prompt", "negative prompt"])
def test_our_picture_is_that_of_the_plain_pipeline(plain, painter, sampler, how, negative):
    theirs = their_pixels(plain, painter, sampler, negative, **how)
    torch.testing.assert_close(pixels(painter, sampler, negative or ""), theirs, rtol=0, atol=1e-4)


def test_pictures_of_a_batch_are_those_drawn_alone(painter):
    recipes = [Recipe(PROMPT, 64, 64, steps=2, seed=seed, sampler="DDIM") for seed in (1, 2)]
    together, alone = painter.paint(recipes, batch_size=2), painter.paint(recipes)
    for one, other in zip(together, alone, strict=True):
        difference = torch.tensor(list(one.image.tobytes())).sub(torch.tensor(list(other.image.tobytes())))
        assert difference.abs().max() <= 1


@pytest.fixture
def lora(painter, make_lora, make_layer):
    """A LoRA of the denoiser's attention and of both text encoders', alpha not its rank."""
    base = painter.base
    generator = torch.Generator().manual_seed(9)
    widths = {"text_encoder": 24, "text_encoder_2": 40}
    text = {
        f"{part}.{path}": make_layer((width, width), generator, 0.2)
        for part, width in widths.items()
        for path in base.layer_paths()[part]
        if "self_attn" in path
    }
    return LoraFile({**make_lora(size=0.1, base=base).layers, **text})


@pytest.mark.parametrize("format", thinned(["kohya", "diffusers"], "kohya"))
def test_a_lora_file_means_the_same_here_and_in_diffusers(plain, painter, lora, tmp_path, format):
    path = tmp_path / "ink.safetensors"
    write_lora(replace(lora, metadata={"ss_base_model_version": "sdxl_base_v1-0"}), path, format)
    without = pixels(painter, "DDIM")
    painter.add_lora("ink", read_lora(path, painter.base.layer_paths()))
    painter.use_loras([LoraUse("ink", 1.0)])
    plain.load_lora_weights(path)
    try:
        ours, theirs = pixels(painter, "DDIM"), their_pixels(plain, painter, "DDIM", None, **DDIM)
    finally:
        painter.remove_lora("ink")
        plain.unload_lora_weights()
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-4)
    assert (ours - without).abs().max() > 0.05

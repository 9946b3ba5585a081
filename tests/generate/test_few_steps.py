"""Models that draw in a few steps: what is said of them, and what a distilled denoiser is told."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from scumble.families.find import open_base
from scumble.families.unet import guidance_embedding
from scumble.files.lorafile import LoraFile
from scumble.generate.few_steps import note_few_steps
from scumble.generate.loras import OpenedLora
from scumble.generate.recipe import LoraUse, Recipe

RECIPE = Recipe("a dog", 32, 32, steps=25, guidance_scale=7.0)
FEW = replace(RECIPE, steps=6, guidance_scale=1.5)


@pytest.fixture
def base(tiny_base):
    return open_base(str(tiny_base))


def opened(name="ink", **metadata):
    return OpenedLora(LoraUse(name), LoraFile({}, metadata), ())


def said(recipe, base, *loras):
    return [note.text for note in note_few_steps(recipe, base, loras)]


def test_an_ordinary_base_and_lora_need_no_word(base):
    assert said(RECIPE, base, opened("turbolader"), opened("Hypertension")) == []


def test_lcm_at_the_guidance_of_other_samplers_is_warned_of(base):
    assert said(replace(RECIPE, sampler="LCM"), base) == ["sampler LCM at guidance_scale 7 burns pictures: take 1 to 2"]
    assert said(replace(FEW, sampler="LCM"), base) == []


@pytest.mark.parametrize(
    ("lora", "kind"),
    [
        (opened("lcm-lora-sdv1-5"), "--sampler LCM, 4 to 8 steps, --guidance-scale 1 to 2"),
        (opened("my_LCM"), "--sampler LCM"),
        (opened("sd15_4step", ss_output_name="Hyper-SD15"), "--sampler 'Euler SGM Uniform'"),
        (opened("x", **{"modelspec.title": "a Lightning LoRA"}), "--guidance-scale 1"),
    ],
)
def test_a_lora_that_says_it_is_for_few_steps_comes_with_advice(base, lora, kind):
    [text] = said(RECIPE, base, lora)
    assert f"LoRA {lora.use.name} says that it draws in a few steps" in text and kind in text
    assert said(FEW, base, lora) == []


def test_a_base_that_says_it_is_for_few_steps_comes_with_advice(base):
    lcm = replace(base, scheduler={**base.scheduler, "_class_name": "LCMScheduler"})
    assert "(lcm): best with --sampler LCM" in said(RECIPE, lcm)[0]
    turbo = replace(base, name="someone/sd-turbo")
    assert "(turbo): best with --sampler 'Euler SGM Uniform'" in said(RECIPE, turbo)[0]


def test_a_distilled_denoiser_hears_of_the_guidance_as_diffusers_tells_it():
    from diffusers import LatentConsistencyModelPipeline

    told = LatentConsistencyModelPipeline.get_guidance_scale_embedding
    for scale in (1.0, 1.5, 8.0):
        expected = told(SimpleNamespace(), torch.tensor([scale - 1]), embedding_dim=256)[0]
        torch.testing.assert_close(guidance_embedding(scale, 256), expected, rtol=0, atol=2e-4)

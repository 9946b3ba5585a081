import pytest
import torch

from scumble.errors import ConfigError
from scumble.generate.draw import Settings, draw_latents
from scumble.generate.samplers import SAMPLERS, find_sampler, make_sampler

SD15 = {
    "_class_name": "PNDMScheduler",
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "num_train_timesteps": 1000,
    "set_alpha_to_one": False,
    "skip_prk_steps": True,
    "steps_offset": 1,
    "trained_betas": None,
    "clip_sample": False,
}
"""The scheduler settings of stable-diffusion-v1-5, as published."""


def test_there_are_eight_samplers():
    assert list(SAMPLERS) == ["Euler a", "Euler", "DPM++ 2M", "DPM++ 2M Karras", "DDIM", "DDPM", "UniPC", "LCM"]


@pytest.mark.parametrize("name", SAMPLERS)
def test_every_sampler_keeps_the_noise_schedule_and_prediction_type(name):
    sampler = make_sampler(name, {**SD15, "prediction_type": "v_prediction"})
    assert sampler.config.prediction_type == "v_prediction"
    assert sampler.config.beta_schedule == "scaled_linear"
    assert sampler.config.steps_offset == 1 or name == "LCM" or not hasattr(sampler.config, "steps_offset")
    assert sampler.alphas_cumprod[-1].item() == pytest.approx(0.0046601, rel=1e-4)


def test_names_are_the_same_in_upper_and_lower_case():
    assert find_sampler("dpm++ 2m  KARRAS") == "DPM++ 2M Karras"


def test_an_unknown_sampler_names_the_nearest():
    with pytest.raises(ConfigError, match=r"unknown sampler 'Euler b': did you mean 'Euler a'\?"):
        make_sampler("Euler b", SD15)


@pytest.mark.parametrize(
    ("name", "first", "last"), [("Euler a", 999, 0), ("DDIM", 951, 1), ("DPM++ 2M Karras", 999, 0)]
)
def test_timesteps_are_spaced_as_in_the_webui(name, first, last):
    sampler = make_sampler(name, SD15)
    sampler.set_timesteps(20)
    assert (round(sampler.timesteps[0].item()), round(sampler.timesteps[-1].item())) == (first, last)


def test_a_base_of_trailing_timesteps_keeps_them():
    assert make_sampler("DDIM", {**SD15, "timestep_spacing": "trailing"}).config.timestep_spacing == "trailing"


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("end", ["min_steps", "max_steps"])
def test_the_fewest_and_the_most_steps_can_be_set(name, end):
    sampler = make_sampler(name, SD15)
    sampler.set_timesteps(getattr(SAMPLERS[name], end))
    assert 500 <= sampler.timesteps[0].item() < 1000


@pytest.mark.parametrize(("name", "steps"), [("LCM", 51), ("Euler", 1), ("DDIM", 1000)])
def test_a_number_of_steps_that_cannot_be_is_refused(name, steps):
    with pytest.raises(ConfigError, match=f"steps={steps}: sampler {name} takes"):
        find_sampler(name, steps)


@pytest.mark.parametrize("name", SAMPLERS)
def test_every_sampler_draws_the_same_alone_and_in_a_batch(name, parts):
    base, denoiser, text_encoder, _ = parts
    [states] = text_encoder.encode(["a handwritten three"], 1)
    [nothing] = text_encoder.encode([""], 1)
    settings = Settings(32, 32, steps=3, guidance_scale=3.0, sampler=name)
    together = draw_latents(base, denoiser, [states] * 2, [nothing] * 2, [5, 6], settings)
    alone = draw_latents(base, denoiser, [states], [nothing], [6], settings)
    assert torch.isfinite(together).all()
    torch.testing.assert_close(together[1:], alone, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(together[0], together[1], atol=1e-2)

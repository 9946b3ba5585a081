from itertools import pairwise

import pytest
import torch

from scumble.config.generate import GenerateConfig
from scumble.errors import ConfigError, ScumbleError
from scumble.generate.draw import Settings, draw_latents
from scumble.generate.run import pictures
from scumble.generate.samplers import SAMPLERS, find_sampler, make_sampler
from scumble.generate.samplers.functions import FUNCTIONS
from scumble.generate.samplers.names import LEADING, REFUSED, REFUSED_SCHEDULES, SCHEDULES, split_sampler
from scumble.generate.samplers.schedules import SCHEDULES as SIGMAS

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
WEBUI = (
    "DPM++ 2M", "DPM++ SDE", "DPM++ 2M SDE", "DPM++ 2M SDE Heun", "DPM++ 2S a", "DPM++ 3M SDE", "Euler a", "Euler", "LMS", "Heun",
    "DPM2", "DPM2 a", "DPM fast", "DPM adaptive", "Restart", "DDIM", "DDIM CFG++", "PLMS", "UniPC", "LCM",
)  # fmt: skip
"""All samplers of A1111 1.10.1."""
WEBUI_SCHEDULES = (
    "Uniform", "Karras", "Exponential", "Polyexponential", "SGM Uniform", "KL Optimal", "Align Your Steps", "Simple", "Normal",
    "DDIM", "Beta",
)  # fmt: skip


def planned(name, steps=20, first_step=0, **config):
    sampler = make_sampler(name, {**SD15, **config})
    sampler.set_timesteps(steps, first_step=first_step)
    return sampler


def drawn(sampler, start, seeds, guess=0.5):
    """The last latents of a denoiser that finds a share of the latents to be noise."""
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    latents = start * sampler.init_noise_sigma
    for timestep in sampler.timesteps:
        output = guess * sampler.scale_model_input(latents, timestep)
        (latents,) = sampler.step(output, timestep, latents, generator=generators, return_dict=False)
    return latents


def test_every_name_of_the_webui_is_here_or_refused_with_a_reason():
    assert set(WEBUI) == (set(SAMPLERS) | set(REFUSED)) - {"DDPM"}
    assert set(WEBUI_SCHEDULES) - set(REFUSED_SCHEDULES) == set(SCHEDULES)


def test_every_name_has_its_mathematics():
    assert set(FUNCTIONS) == set(SAMPLERS)
    assert set(SIGMAS) == {*SCHEDULES, LEADING}


@pytest.mark.parametrize(
    ("given", "schedule", "found"),
    [
        ("dpm++ 2m  KARRAS", None, "DPM++ 2M Karras"),
        ("DPM++ 2M", "karras", "DPM++ 2M Karras"),
        ("euler", "SGMUniform", "Euler SGM Uniform"),
        ("euler sgm uniform", None, "Euler SGM Uniform"),
        ("DPM++ 2M SDE Heun Exponential", None, "DPM++ 2M SDE Heun Exponential"),
        ("Euler DDIM", "automatic", "Euler DDIM"),
        ("DDIM", "Automatic", "DDIM"),
    ],
)
def test_a_sampler_and_its_schedule_are_one_name(given, schedule, found):
    assert find_sampler(given, schedule=schedule) == found
    assert find_sampler(found) == found


def test_a_name_is_split_again():
    assert split_sampler("DPM++ 2M Karras") == ("DPM++ 2M", "Karras")
    assert split_sampler("Euler a") == ("Euler a", "Automatic")


@pytest.mark.parametrize(
    ("name", "schedule", "words"),
    [
        ("Euler b", None, r"unknown sampler 'Euler b': did you mean 'Euler a'\?"),
        ("DPM adaptive", None, "'DPM adaptive' is not here: .* take DPM"),
        ("Euler", "Karas", r"unknown schedule 'Karas': did you mean 'Karras'\?"),
        ("Euler", "Align Your Steps", "schedule 'Align Your Steps' is not here"),
        ("DDIM", "Karras", "schedule=Karras would have no effect: DDIM"),
        ("DPM++ 2M Karras", "Beta", "two schedules"),
        ("Euler a align your steps", None, "schedule 'Align Your Steps' is not here"),
    ],
)
def test_what_cannot_be_is_refused_with_a_way_out(name, schedule, words):
    with pytest.raises(ConfigError, match=words):
        find_sampler(name, schedule=schedule)


@pytest.mark.parametrize(
    ("name", "steps"), [("LCM", 51), ("UniPC", 2), ("DDIM", 1000), ("Euler DDIM", 30), ("Euler", 1001)]
)
def test_a_number_of_steps_that_cannot_be_is_refused(name, steps):
    with pytest.raises(ConfigError, match=f"steps={steps}: "):
        find_sampler(name, steps)


@pytest.mark.parametrize("end", ["min_steps", "max_steps"])
@pytest.mark.parametrize("name", SAMPLERS)
def test_the_fewest_and_the_most_steps_can_be_planned(name, end):
    steps = getattr(SAMPLERS[name], end)
    sampler = planned(name, steps)
    assert len(sampler.sigmas) == steps + 1
    assert 500 <= sampler.timesteps[0].item() < 1000


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_every_schedule_falls_from_the_noisiest_level(schedule):
    sigmas = planned(f"Euler {schedule}", 25).sigmas
    assert len(sigmas) == 26
    assert all(above > below for above, below in pairwise(sigmas))
    assert 11 < sigmas[0] < 15
    assert sigmas[-1] == (pytest.approx(0.0292, rel=1e-2) if schedule == "KL Optimal" else 0)


@pytest.mark.parametrize(
    ("name", "questions"), [("Euler", 10), ("Heun", 19), ("DPM++ SDE", 19), ("DPM2 a", 19), ("PLMS", 11), ("UniPC", 10)]
)
def test_questions_to_the_denoiser_are_counted(name, questions):
    assert len(planned(name, 10).timesteps) == questions


@pytest.mark.parametrize("name", SAMPLERS)
def test_steps_are_finished_one_after_the_other(name):
    sampler = planned(name, 20)
    generators, latents, finished = [torch.Generator()], torch.ones(1, 1, 2, 2), []
    for timestep in sampler.timesteps:
        (latents,) = sampler.step(latents * 0.1, timestep, latents, generator=generators)
        finished += [] if sampler.is_between else [sampler.finished]
    assert finished == list(range(1, 21))


@pytest.mark.parametrize(("name", "first", "last"), [("Euler a", 999, 0), ("DDIM", 951, 1), ("DPM++ 2M", 999, 0)])
def test_timesteps_are_spaced_as_in_the_webui(name, first, last):
    timesteps = planned(name).timesteps
    assert (timesteps[0].item(), timesteps[-1].item()) == (first, last)


def test_a_base_of_trailing_timesteps_keeps_them_unless_a_schedule_is_chosen():
    trailing = {"timestep_spacing": "trailing"}
    assert planned("Euler", 4, **trailing).timesteps.tolist() == [999, 749, 499, 249]
    assert planned("DDIM", 4, **trailing).timesteps.tolist() == [999, 749, 499, 249]
    assert planned("Euler Uniform", 4, **trailing).timesteps[-1] == 0


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_schedule_that_ends_in_pure_noise_is_drawn_from(name):
    sampler = planned(name, 4, rescale_betas_zero_snr=True, timestep_spacing="trailing", prediction_type="v_prediction")
    latents = drawn(sampler, torch.randn(1, 4, 4, 4, generator=torch.Generator().manual_seed(1)), [1])
    assert torch.isfinite(latents).all()


@pytest.mark.parametrize("name", SAMPLERS)
def test_latents_do_not_depend_on_their_batch(name):
    starts = torch.randn(3, 4, 8, 8, generator=torch.Generator().manual_seed(5))
    together = drawn(planned(name), starts, [1, 2, 3])
    for index in range(3):
        assert torch.equal(drawn(planned(name), starts[index : index + 1], [index + 1])[0], together[index])


@pytest.mark.parametrize("name", SAMPLERS)
def test_beginning_in_the_middle_leaves_out_the_first_steps(name):
    whole, rest = planned(name, 20), planned(name, 20, first_step=12)
    assert rest.finished == 12
    assert rest.sigmas == whole.sigmas
    picture, noise = torch.full((1, 1, 2, 2), 3.0), torch.ones(1, 1, 2, 2)
    latents = rest.noised(picture, noise)
    torch.testing.assert_close(latents, picture + whole.sigmas[12] * noise)
    for timestep in rest.timesteps:
        noise_found = (latents - picture) / rest.question.sigma
        (latents,) = rest.step(noise_found, timestep, latents, generator=[torch.Generator()])
    assert rest.finished == 20
    torch.testing.assert_close(latents, picture, rtol=0.02, atol=0)


def test_samplers_with_noise_depend_on_the_seed_and_the_others_do_not():
    start = torch.ones(1, 4, 8, 8)
    noisy = {name for name in SAMPLERS if not torch.equal(*(drawn(planned(name), start, [seed]) for seed in (1, 2)))}
    assert noisy == {
        "Euler a", "DPM++ SDE", "DPM++ 2M SDE", "DPM++ 2M SDE Heun", "DPM++ 2S a", "DPM++ 3M SDE", "DPM2 a", "Restart", "LCM", "DDPM",
    }  # fmt: skip


def test_latents_that_were_changed_on_the_way_are_refused():
    sampler = planned("Euler")
    (latents,) = sampler.step(torch.zeros(1, 1, 2, 2), None, torch.ones(1, 1, 2, 2), generator=[torch.Generator()])
    with pytest.raises(ScumbleError, match="changed between"):
        sampler.step(torch.zeros(1, 1, 2, 2), None, latents * 2, generator=[torch.Generator()])


def test_the_setting_schedule_is_part_of_the_recipe(tiny_base):
    config = GenerateConfig(
        prompt="one", base=str(tiny_base), steps=4, sampler="euler", device="cpu", schedule="karras"
    )
    [picture] = pictures(config)
    assert picture.recipe.sampler == "Euler Karras"
    [plain] = pictures(config.model_copy(update={"schedule": None}))
    assert plain.image.tobytes() != picture.image.tobytes()


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

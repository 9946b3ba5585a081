from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.files.kinds import random_layer

from scumble.errors import ConfigError, LoraFileError, ScumbleError
from scumble.files.lorafile import LoraFile, LoraLayer
from scumble.generate.draw import Settings, draw_latents
from scumble.generate.painter import moment_steps
from scumble.generate.recipe import LoraUse, Recipe
from scumble.generate.samplers import SAMPLERS

RECIPE = Recipe("a handwritten three", 32, 32, steps=3, guidance_scale=3.0, seed=5)


def same(a, b, tolerance=0):
    return np.abs(np.asarray(a.image, dtype=int) - np.asarray(b.image, dtype=int)).max() <= tolerance


@pytest.fixture
def inked(painter, make_lora):
    """A painter with a LoRA named "ink" within reach."""
    painter.add_lora("ink", make_lora())
    return painter


def with_lora(weight, name="ink"):
    return replace(RECIPE, loras=(LoraUse(name, weight),))


def test_the_same_recipe_gives_the_same_picture_to_the_bit(painter):
    first, second = painter.paint([RECIPE, RECIPE])
    assert same(first, second)
    assert first.recipe == RECIPE


def test_a_lora_changes_the_picture_and_strength_0_gives_the_base_exactly(inked):
    base, changed, unchanged = inked.paint([RECIPE, with_lora(1.0), with_lora(0.0)])
    assert not same(base, changed, tolerance=8)
    assert same(base, unchanged)


def test_strength_0_in_the_text_encoder_is_a_lora_without_its_layers(painter, make_lora):
    lora, text = make_lora(), "text_encoder.text_model.encoder.layers.0.mlp.fc1"
    painter.add_lora("both", LoraFile({**lora.layers, text: random_layer("lora", (64, 32), 2, 1.0, 0)}))
    painter.add_lora("denoiser", lora)
    without, alone, whole = painter.paint(
        [
            replace(RECIPE, loras=(use,))
            for use in (LoraUse("both", 0.7, text_weight=0.0), LoraUse("denoiser", 0.7), LoraUse("both", 0.7))
        ]
    )
    assert same(without, alone)
    assert not same(without, whole)


def test_taking_a_lora_off_leaves_the_base_exactly(painter, make_lora):
    [before] = painter.paint([RECIPE])
    modules = [id(module) for module in painter.denoiser.modules()]
    painter.add_lora("ink", make_lora())
    painter.paint([with_lora(1.0)], folded=True)
    painter.remove_lora("ink")
    [after] = painter.paint([RECIPE])
    assert same(before, after)
    assert [id(module) for module in painter.denoiser.modules()] == modules


def test_two_loras_add_up(inked, make_lora):
    """Twice half a LoRA is the whole of it."""
    inked.add_lora("again", make_lora())
    both = replace(RECIPE, loras=(LoraUse("ink", 0.5), LoraUse("again", 0.5)))
    whole, mixed, half = inked.paint([with_lora(1.0), both, with_lora(0.5)])
    assert same(whole, mixed, tolerance=1)
    assert not same(whole, half, tolerance=4)


def test_folded_in_equals_running_beside(inked):
    base, denoiser = inked.base, inked.denoiser
    text = inked.text_states(["a handwritten three"])
    settings = Settings(32, 32, steps=3, guidance_scale=3.0, sampler="DDIM")
    latents = []
    for folded in (False, True):
        inked.use_loras([LoraUse("ink", 0.6)], folded)
        latents.append(draw_latents(base, denoiser, text, text, [1], settings))
    torch.testing.assert_close(latents[1], latents[0], rtol=1e-4, atol=1e-4)


def test_pictures_of_a_batch_are_those_drawn_alone(painter):
    recipes = [replace(RECIPE, seed=seed, prompt=prompt) for seed in (1, 2) for prompt in ("one", "two")]
    for together, alone in zip(painter.paint(recipes, batch_size=3), painter.paint(recipes), strict=True):
        assert together.recipe == alone.recipe
        assert same(together, alone, tolerance=1)


def test_recipes_that_differ_in_more_than_prompt_and_seed_keep_their_order(inked):
    recipes = [RECIPE, replace(RECIPE, width=40), with_lora(1.0), replace(RECIPE, sampler="DDIM")]
    pictures = inked.paint(recipes, batch_size=4)
    assert [picture.recipe for picture in pictures] == recipes
    assert [picture.image.size for picture in pictures] == [(32, 32), (40, 32), (32, 32), (32, 32)]


def test_a_lora_that_is_not_loaded_is_named_with_the_nearest(inked):
    with pytest.raises(ConfigError, match=r"LoRA 'inc' is not loaded: did you mean 'ink'\?"):
        inked.paint([with_lora(1.0, "inc")])


def test_a_lora_that_does_not_fit_changes_nothing(painter, make_lora):
    layer = LoraLayer("lora", {"down": torch.ones(2, 5), "up": torch.ones(32, 2)}, 2, 1.0)
    path = next(iter(make_lora().layers))
    with pytest.raises(LoraFileError, match="made for another base model"):
        painter.add_lora("odd", LoraFile({path: layer}))
    assert painter.lora_names == ()


def test_guidance_1_needs_one_pass_of_the_denoiser_a_step(painter):
    rows = []
    watching = painter.denoiser.register_forward_pre_hook(lambda module, inputs: rows.append(len(inputs[0])))
    text = painter.text_states(["one"])
    for scale in (1.0, 2.0):
        draw_latents(painter.base, painter.denoiser, text, text, [1], Settings(32, 32, steps=2, guidance_scale=scale))
    watching.remove()
    assert rows == [1, 1, 2, 2]


def test_clip_skip_chooses_another_layer_and_too_much_of_it_is_refused(painter):
    [last], [earlier] = painter.text_states(["three"], 1), painter.text_states(["three"], 2)
    assert not torch.allclose(last["hidden"], earlier["hidden"], atol=1e-2)
    with pytest.raises(ConfigError, match=r"clip_skip=12: .* 2 layers"):
        painter.paint([replace(RECIPE, clip_skip=12)])


def test_a_size_that_cannot_be_is_refused(painter):
    with pytest.raises(ConfigError, match="width=60: must be a multiple of 8; 56 and 64 are near"):
        painter.paint([replace(RECIPE, width=60)])


def test_numbers_that_are_not_finite_are_an_error_not_a_black_picture(painter, make_lora):
    painter.add_lora("huge", make_lora(size=1e18))
    with pytest.raises(ScumbleError, match="not finite"):
        painter.paint([with_lora(1e18, "huge")])


@pytest.mark.parametrize("sampler", ["Euler a", "DDIM", "Heun", "PLMS"])
def test_moments_lead_from_noise_to_the_picture(painter, sampler):
    [picture] = painter.paint([replace(RECIPE, steps=4, sampler=sampler)], num_moments=3)
    assert [moment.step for moment in picture.moments] == [0, 2, 4]
    assert picture.moments[-1].image is picture.image


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_what_is_watched_is_scaled_as_pictures_are(painter, sampler):
    """The first noise and every later moment are of the order of 1, however the sampler keeps its latents."""
    seen = {}
    text = painter.text_states(["one"])
    settings = Settings(32, 32, steps=4, guidance_scale=1.0, sampler=sampler)
    last = draw_latents(painter.base, painter.denoiser, text, text, [1], settings, seen.__setitem__)
    assert list(seen) == [0, 1, 2, 3, 4]
    torch.testing.assert_close(seen[4], last)
    assert all(0.5 * seen[0].std() < latents.std() < 2 * last.std() for latents in seen.values())


def test_watching_does_not_change_the_picture(painter):
    [watched], [plain] = painter.paint([RECIPE], num_moments=4), painter.paint([RECIPE])
    assert same(watched, plain)


def test_moments_are_evenly_spaced_and_never_more_than_there_are():
    assert moment_steps(19, 20) == list(range(20))
    assert moment_steps(25, 6) == [0, 5, 10, 15, 20, 25]
    assert moment_steps(25, 0) == []
    with pytest.raises(ConfigError, match="take 19 steps or more"):
        moment_steps(10, 20)

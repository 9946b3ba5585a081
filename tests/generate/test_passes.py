"""Drawing over a picture, and over the enlarged picture of a first pass."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from scumble.errors import ConfigError
from scumble.generate.draw import encode_images
from scumble.generate.pixels import difference, pixel_hash
from scumble.generate.plan import note_passes, size_of
from scumble.generate.recipe import HiresPass, Recipe, SourcePicture

RECIPE = Recipe("a handwritten three", 32, 32, steps=4, guidance_scale=3.0, seed=5)


def random_image(seed=0, size=(32, 32)):
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)
    return Image.fromarray(pixels)


@pytest.fixture
def passes(painter):
    """The passes of the denoiser while the test draws, each as the number of latents in it."""
    rows = []
    watching = painter.denoiser.register_forward_pre_hook(lambda module, inputs: rows.append(inputs[0].shape))
    yield rows
    watching.remove()


def over(painter, image, strength=0.75, **how):
    return replace(RECIPE, source=SourcePicture(painter.add_image(image), strength), **how)


@pytest.mark.parametrize(("steps", "strength", "taken"), [(20, 0.75, 16), (20, 1.0, 20), (4, 0.5, 3), (10, 0.01, 1)])
def test_img2img_takes_as_many_steps_as_the_webui(painter, passes, steps, strength, taken):
    """The WebUI takes the last t_enc + 1 sigmas, t_enc = int(min(strength, 0.999) * steps)."""
    painter.paint([over(painter, random_image(), strength, steps=steps)])
    assert len(passes) == taken


def test_what_is_drawn_depends_on_the_picture_it_starts_from(painter):
    one, other = (over(painter, random_image(seed), 0.1, sampler="DDIM") for seed in (0, 1))
    first, second, again = painter.paint([one, other, one], batch_size=1)
    assert difference(first.image, second.image).largest > 0
    assert first.image.tobytes() == again.image.tobytes()


def test_pictures_from_different_pictures_are_drawn_in_one_batch(painter, passes):
    recipes = [over(painter, random_image(seed), 0.5, seed=seed) for seed in (0, 1)]
    together = painter.paint(recipes, batch_size=2)
    assert {shape[0] for shape in passes} == {4}  # two pictures, each with and without prompt
    for drawn, alone in zip(together, painter.paint(recipes), strict=True):
        assert difference(drawn.image, alone.image).largest <= 1


def test_a_picture_that_is_not_within_reach_is_an_error(painter):
    with pytest.raises(ConfigError, match=r"start from, cat.png 123, is not within reach"):
        painter.paint([replace(RECIPE, source=SourcePicture("123", 0.5, "cat.png"))])


@pytest.mark.parametrize("sampler", ["Euler a", "DDIM"])
def test_a_second_pass_by_lanczos_is_img2img_of_the_enlarged_picture(painter, sampler):
    """Three of the four steps of a schedule, by the hires pass's way of counting and by that of img2img."""
    first = replace(RECIPE, sampler=sampler)
    [small] = painter.paint([first])
    large = small.image.resize((64, 64), Image.Resampling.LANCZOS)
    by_hand = over(painter, large, 0.74, width=64, height=64, sampler=sampler)
    hires = HiresPass(scale=2.0, steps=3, strength=0.75, upscaler="lanczos")
    in_one, in_two = painter.paint([replace(first, hires=hires), by_hand])
    assert in_one.image.size == (64, 64)
    assert in_one.image.tobytes() == in_two.image.tobytes()


def test_a_second_pass_takes_all_its_steps_at_the_larger_size(painter, passes):
    [picture] = painter.paint([replace(RECIPE, hires=HiresPass(scale=1.5, steps=6, strength=0.5))])
    assert picture.image.size == (48, 48)
    assert [shape[-1] for shape in passes] == [4] * 4 + [6] * 6


def test_an_upscaling_model_that_is_not_within_reach_is_an_error(painter):
    with pytest.raises(ConfigError, match="upscaler 'lanzos' is not loaded: did you mean 'lanczos'"):
        painter.paint([replace(RECIPE, hires=HiresPass(steps=1, strength=0.2, upscaler="lanzos"))])


def test_a_picture_is_encoded_the_same_every_time(painter, cpu):
    one, two = (encode_images(painter.autoencoder, [random_image()], (32, 32), cpu) for _ in range(2))
    assert one.equal(two)


@pytest.mark.parametrize(
    ("asked", "drawn"),
    [((None, None), (96, 56)), ((64, None), (64, 40)), ((None, 64), (112, 64)), ((64, 64), (64, 64))],
)
def test_the_size_follows_the_picture_where_it_is_left_open(parts, asked, drawn):
    assert size_of(parts[0], *asked, random_image(size=(100, 57))) == drawn


def test_the_hash_of_pixels_knows_the_size_and_not_the_file():
    image = random_image(size=(8, 4))
    assert (
        pixel_hash(image) == pixel_hash(image.convert("RGBA")) != pixel_hash(image.transpose(Image.Transpose.ROTATE_90))
    )
    flat = Image.new("RGB", (8, 4))
    assert pixel_hash(flat) != pixel_hash(Image.new("RGB", (4, 8)))


@pytest.mark.parametrize(
    ("upscaler", "strength", "warned"), [("latent", 0.3, True), ("latent", 0.5, False), ("lanczos", 0.3, False)]
)
def test_a_weak_second_pass_over_latents_is_told(upscaler, strength, warned):
    recipe = Recipe("a dog", 64, 64, hires=HiresPass(2.0, 0, strength, upscaler))
    assert [note.warning for note in note_passes([recipe])] == ([True] if warned else [])

"""A picture is drawn again from what it carries."""

from dataclasses import replace

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from scumble.config import GenerateConfig
from scumble.config.recipe import RecipeConfig
from scumble.errors import ConfigError
from scumble.files.read import write_lora
from scumble.generate.events import Noted, Painted
from scumble.generate.infotext import png_texts, read_all, read_recipes
from scumble.generate.recipe import HiresPass, Recipe
from scumble.generate.redraw import redraw
from scumble.generate.run import generate

SAME = "the pixels are the same"


@pytest.fixture
def draw(tmp_path, tiny_base):
    """Draws on the tiny base; the files of the pictures."""
    plain = {"prompt": "a handwritten three", "base": str(tiny_base), "steps": 3, "device": "cpu"}
    plain |= {"out": tmp_path / "out", "runs_dir": tmp_path / "runs"}

    def draw(**settings):
        events = generate(GenerateConfig(**{**plain, **settings}))
        return [event.path for event in events if isinstance(event, Painted)]

    return draw


@pytest.fixture
def again(tmp_path):
    """Draws a picture again; what is said of it."""
    plain = {"run": True, "out": tmp_path / "again", "runs_dir": tmp_path / "runs", "device": "cpu"}

    def again(picture, **settings):
        events = redraw(RecipeConfig(**{**plain, "picture": picture, **settings}))
        return [event.text for event in events if isinstance(event, Noted)]

    return again


def test_a_picture_of_a_batch_with_a_lora_is_drawn_again_to_the_bit(draw, again, ink_file, tmp_path):
    prompt = "a handwritten three <lora:ink:0.5:0.8:lbw=M00=0.5>"
    files = draw(prompt=prompt, n=3, batch_size=3, hires_scale=1.5, hires_steps=2, hires_upscaler="lanczos")
    for file in files[1:]:
        assert again(file) == [SAME]
    [new, _] = sorted((tmp_path / "again").iterdir())
    assert Image.open(new).tobytes() == Image.open(files[1]).tobytes()
    [(recipe, made)] = read_all(files[1])
    assert (made.batch_size, made.batch_place, made.is_folded, made.device, made.precision) == (3, 1, True, "cpu", "no")
    [(redrawn, its)] = read_all(new)
    assert redrawn == recipe
    assert its == made
    assert again(new) == [SAME]


def test_prompts_of_one_batch_are_each_drawn_again_to_the_bit(draw, again, tmp_path):
    (tmp_path / "prompts.txt").write_text("one\ntwo and three\nfour\n")
    for file in draw(prompt=None, prompts_file=tmp_path / "prompts.txt", batch_size=3):
        assert again(file) == [SAME]


def test_an_own_autoencoder_in_tiles_and_a_layer_are_used_again(draw, again, narrow_base):
    [file] = draw(
        base=str(narrow_base), vae=str(narrow_base), width=96, height=64, clip_skip=2, vae_tiling=True, steps=2
    )
    assert read_all(file)[0][1].is_tiled
    assert again(file) == [SAME]


def test_a_picture_drawn_over_another_needs_that_one(draw, again, tmp_path):
    cat = tmp_path / "cat.png"
    Image.linear_gradient("L").resize((40, 32)).convert("RGB").save(cat)
    [file] = draw(image=cat, denoising_strength=0.5)
    assert read_recipes(file)[0].width == 40
    with pytest.raises(ConfigError, match=r"missing is the picture that it started from \(cat.png [0-9a-f]{12}\)"):
        again(file)
    Image.new("RGB", (40, 32)).save(tmp_path / "other.png")
    with pytest.raises(ConfigError, match=r"has the hash .*; it was drawn from cat.png"):
        again(file, image=tmp_path / "other.png")
    Image.open(cat).save(tmp_path / "renamed.bmp")
    assert again(file, image=tmp_path / "renamed.bmp") == [SAME]


def test_a_lora_is_found_by_its_hash_whatever_it_is_called(draw, again, ink_file, make_lora, tmp_path):
    [file] = draw(prompt="a three <lora:ink:0.7>")
    ink_file.rename(tmp_path / "other name.safetensors")
    assert again(file, lora=(tmp_path / "other name.safetensors",)) == [SAME]
    assert again(file, lora_dir=tmp_path) == [SAME]
    with pytest.raises(ConfigError, match=r"missing is LoRA 'ink' \(hash [0-9a-f]{12}\); looked among .*by --lora"):
        again(file)
    write_lora(make_lora(seed=5), ink_file)
    with pytest.raises(ConfigError, match="has its name and is another"):
        again(file)


def test_other_weights_and_other_pixels_are_told(draw, again, sdxl_base, narrow_base):
    [file] = draw(width=64, height=64)
    said = again(file, base=str(narrow_base))
    assert "unet of" in said[0] and "is not what it was: other weights" in said[0]
    assert "the pixels differ in" in said[-1] and "of 255 at most" in said[-1]


def test_a_changed_file_is_told_apart_from_a_changed_drawing(draw, again, tmp_path, narrow_base):
    [file] = draw()
    [(recipe, made)] = read_all(file)
    black = tmp_path / "black.png"
    Image.new("RGB", (32, 32)).save(black, pnginfo=png_texts(recipe, made=[made]))
    assert again(black) == [SAME]  # as what was drawn, which the hash of the pixels knows
    assert "were changed after it was drawn" in again(black, base=str(narrow_base))[-1]


def test_a_picture_of_the_webui_is_drawn_with_what_it_tells(again, tiny_base, ink_file, tmp_path):
    texts = PngInfo()
    text = "a dog <lora:ink:0.5>\nSteps: 2, Sampler: DDIM, CFG scale: 5, Seed: 5, Size: 32x32, Model: v1-5"
    texts.add_text("parameters", text)
    Image.new("RGB", (32, 32)).save(tmp_path / "webui.png", pnginfo=texts)
    with pytest.raises(ConfigError, match="names its base 'v1-5' only: say by --base"):
        again(tmp_path / "webui.png")
    said = again(tmp_path / "webui.png", base=str(tiny_base))
    assert "the pixels differ in" in said[-1]
    [(recipe, made)] = read_all(next((tmp_path / "again").iterdir()))
    assert (recipe.seed, recipe.loras[0].weight, recipe.base, made.batch_size) == (5, 0.5, str(tiny_base), 1)
    assert len(recipe.loras[0].hash) == 64


def test_an_upscaling_model_that_was_not_given_is_named(again, tiny_base, tmp_path):
    recipe = Recipe("a dog", 32, 32, base=str(tiny_base), hires=HiresPass(upscaler="4x-UltraSharp"))
    Image.new("RGB", (64, 64)).save(tmp_path / "a.png", pnginfo=png_texts(recipe))
    with pytest.raises(
        ConfigError, match=r"missing is the model .*, 4x-UltraSharp \(hash not said\): --hires-upscaler"
    ):
        again(tmp_path / "a.png", base=str(tiny_base))


def test_settings_of_drawing_need_run(tmp_path):
    with pytest.raises(ConfigError, match="base would have no effect: it needs run"):
        RecipeConfig(picture="a.png", base="mini")
    with pytest.raises(ConfigError, match="as_json would have no effect"):
        RecipeConfig(picture="a.png", run=True, as_json=True)


def test_folding_changes_no_pixel_but_by_rounding(draw, ink_file):
    prompt = "a three <lora:ink:0.3:0.8:lbw=M00=0.5,OUT03=0>"
    [folded], [beside] = (draw(prompt=prompt, fold=fold, sampler="DDIM") for fold in (None, False))
    made, other = (read_all(file)[0][1] for file in (folded, beside))
    assert (made.is_folded, other.is_folded) == (True, False)
    assert made.base == other.base
    one, two = (Image.open(file).convert("RGB").tobytes() for file in (folded, beside))
    assert max(abs(a - b) for a, b in zip(one, two, strict=True)) <= 1


def test_strength_0_draws_the_base_exactly_folded_or_not(draw, ink_file):
    files = [
        draw(),
        draw(prompt="a handwritten three <lora:ink:0>"),
        draw(prompt="a handwritten three <lora:ink:0>", fold=False),
    ]
    assert len({Image.open(file).tobytes() for [file] in files}) == 1


def test_the_weights_are_known_by_the_same_hash_in_half_precision_and_under_a_lora(draw, ink_file):
    plain, half, adapted = (
        read_all(draw(steps=2, **settings)[0])[0][1].base
        for settings in ({}, {"mixed_precision": "fp16"}, {"lora": (ink_file,)})
    )
    assert plain == half == adapted
    assert set(plain) == {"unet", "text_encoder", "vae"}


def test_a_recipe_without_the_making_is_read_as_before(tmp_path, draw):
    [file] = draw()
    [(recipe, _)] = read_all(file)
    Image.new("RGB", (8, 8)).save(tmp_path / "old.png", pnginfo=png_texts(replace(recipe, seed=3)))
    assert read_all(tmp_path / "old.png") == [(replace(recipe, seed=3), None)]

"""Without an upscaling model a base draws over the enlarged picture: the recipe in it, or a prompt, in tiles that join."""

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from scumble.config import from_values
from scumble.config.upscale import UpscaleConfig
from scumble.errors import ConfigError
from scumble.generate.events import Noted
from scumble.generate.infotext import png_texts
from scumble.generate.recipe import LoraUse, Recipe, SourcePicture
from scumble.generate.refine import refine
from scumble.upscale.events import Enlarged, Enlarging

RECIPE = Recipe("a black three", 32, 32, "blur", steps=4, guidance_scale=3.0, sampler="DDIM", seed=7)


def scene(width, height):
    y, x = np.mgrid[:height, :width]
    return Image.fromarray(np.stack([x * 5, y * 5, (x * y) % 256], axis=-1).clip(0, 255).astype(np.uint8))


@pytest.fixture
def refined(tiny_base, tmp_path):
    """Draws over a picture; gives the events and the opened result."""

    def run(image, recipe=None, **settings):
        path = tmp_path / "a.png"
        image.save(path, pnginfo=png_texts(recipe) if recipe else None)
        values = {"picture": [path], "out": tmp_path / "out", "device": "cpu", "overwrite": True}
        events = list(refine(from_values(UpscaleConfig, {**values, "base": str(tiny_base), **settings})))
        (done,) = [event for event in events if isinstance(event, Enlarged)]
        with Image.open(done.out) as result:
            result.load()
        return events, result

    return run


def test_a_picture_of_one_tile_is_the_enlarged_one_drawn_over(refined, painter):
    image = scene(24, 20)
    _, result = refined(image, prompt="a black three", steps=4, denoising_strength=0.5, seed=3, sampler="DDIM", scale=2)
    enlarged = image.resize((48, 40), Image.Resampling.LANCZOS)
    name = painter.add_image(enlarged)
    recipe = replace(RECIPE, width=48, height=40, negative_prompt="", seed=3, guidance_scale=7.0)
    (expected,) = painter.paint([replace(recipe, source=SourcePicture(name, 0.5))])
    assert np.array_equal(np.asarray(result), np.asarray(expected.image))


def test_a_recipe_in_the_picture_is_drawn_and_given_settings_win(refined):
    _, result = refined(scene(20, 20), RECIPE, steps=3)
    (said,) = json.loads(result.text["scumble-upscale"])
    drawn = {name: said["recipe"][name] for name in ("prompt", "negative_prompt", "steps", "sampler", "seed")}
    assert drawn == {"prompt": "a black three", "negative_prompt": "blur", "steps": 3, "sampler": "DDIM", "seed": 7}
    assert (said["denoising_strength"], said["to"]) == (0.35, [40, 40])
    assert result.text["parameters"].startswith("a black three")
    _, again = refined(scene(20, 20), RECIPE, steps=3)
    assert np.array_equal(np.asarray(result), np.asarray(again))


def test_a_schedule_takes_the_place_of_the_one_in_a_recipe(refined):
    _, result = refined(scene(20, 20), replace(RECIPE, sampler="Euler Karras"), steps=3, schedule="Exponential")
    (said,) = json.loads(result.text["scumble-upscale"])
    assert said["recipe"]["sampler"] == "Euler Exponential"


def test_large_pictures_of_any_size_are_drawn_in_tiles(refined):
    image = scene(50, 37)
    image.putalpha(200)
    events, result = refined(image, RECIPE, width=101, tile=48, overlap=16)
    assert (result.size, result.mode) == ((101, 75), "RGBA")
    assert sum(isinstance(event, Enlarging) for event in events) == 3 * 2
    assert set(np.unique(np.asarray(result.getchannel("A")))) == {200}


def test_the_loras_of_a_recipe_take_part_and_another_file_of_that_name_is_noticed(refined, ink_file):
    recipe = replace(RECIPE, loras=(LoraUse("ink", 0.8, "0" * 64),))
    events, with_lora = refined(scene(16, 16), recipe, lora=[ink_file])
    warned = [event.text for event in events if isinstance(event, Noted) and event.warning]
    assert any("LoRA ink is another file than the one that it was drawn with" in text for text in warned)
    _, without = refined(scene(16, 16), RECIPE)
    assert not np.array_equal(np.asarray(with_lora), np.asarray(without))
    (said,) = json.loads(with_lora.text["scumble-upscale"])
    assert said["recipe"]["loras"][0]["weight"] == 0.8


def test_what_cannot_be_is_refused(refined, tmp_path):
    with pytest.raises(ConfigError, match=r"a\.png: the picture carries no recipe .*; say by --prompt what is in it"):
        refined(scene(16, 16))
    with pytest.raises(ConfigError, match="tile=50: must be a multiple of 8 for this base; 48 and 56 are near"):
        refined(scene(16, 16), RECIPE, tile=50)
    with pytest.raises(ConfigError, match="overlap=40: must be half a tile of 64 px or less"):
        refined(scene(16, 16), RECIPE, overlap=40)
    with pytest.raises(ConfigError, match="LoRA 'ink' not found"):
        refined(scene(16, 16), replace(RECIPE, loras=(LoraUse("ink"),)), runs_dir=tmp_path)


def test_pictures_of_several_bases_need_to_be_told_which_to_take(tmp_path):
    for name in ("one", "other"):
        scene(16, 16).save(tmp_path / f"{name}.png", pnginfo=png_texts(replace(RECIPE, base=name)))
    settings = {"picture": [tmp_path], "out": tmp_path / "out"}
    with pytest.raises(ConfigError, match=r"drawn with several bases \(one, other\): say by --base which to take"):
        list(refine(from_values(UpscaleConfig, settings)))


@pytest.mark.parametrize("setting", [{"prompt": "a dog"}, {"steps": 9}, {"denoising_strength": 0.5}, {"base": "mini"}])
def test_settings_of_a_base_are_refused_beside_a_model(setting):
    values = {"picture": ["a.png"], "out": "out", "model": "4x.safetensors", **setting}
    with pytest.raises(ConfigError, match=f"{next(iter(setting))} would have no effect: it is for a base"):
        from_values(UpscaleConfig, values)

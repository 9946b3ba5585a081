"""An upscaling model between the two passes of a drawing: by the command, in the recipe, and drawn again."""

import importlib

import numpy as np
import pytest
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from safetensors.torch import save_file
from tests.upscale.conftest import compact, esrgan, scene

from scumble.config import GenerateConfig, from_values
from scumble.config.recipe import RecipeConfig
from scumble.errors import ConfigError, UpscalerError
from scumble.generate.enlarger import Enlarger
from scumble.generate.events import Noted, Painted
from scumble.generate.infotext import read_all
from scumble.generate.redraw import redraw
from scumble.generate.run import generate
from scumble.upscale.model import Upscaler
from scumble.upscale.tiles import Tiling

SAME = "the pixels are the same"


@pytest.fixture
def draw(tmp_path, tiny_base):
    """Draws on the tiny base, 32 px and then larger; the file of the picture."""
    plain = {"prompt": "a three", "base": str(tiny_base), "steps": 2, "device": "cpu", "out": tmp_path / "out"}
    plain |= {"hires_scale": 1.5, "hires_steps": 1, "hires_denoising_strength": 0.2, "runs_dir": tmp_path / "runs"}

    def draw(**settings):
        events = generate(from_values(GenerateConfig, {**plain, **settings}))
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


def test_the_recipe_knows_the_model_and_draws_the_same_again(draw, again, write_model, tmp_path):
    model = write_model(compact, "2x-sharp")
    first, second = draw(hires_upscaler=str(model), n=2, batch_size=2)
    [(recipe, made)] = read_all(second)
    digest = Enlarger.open(model, "cpu", None).upscaler.digest
    assert (recipe.hires.upscaler, recipe.hires.upscaler_hash) == ("2x-sharp", digest)
    assert made.upscaler_tile_px > 32
    assert Image.open(second).size == (48, 48)
    assert "Hires upscaler: 2x-sharp" in Image.open(first).info["parameters"]
    assert model.rename(tmp_path / "renamed.safetensors").exists()
    assert again(second, hires_upscaler=tmp_path / "renamed.safetensors") == [SAME]
    [new] = (tmp_path / "again").iterdir()
    assert read_all(new) == [(recipe, made)]


def test_tiles_that_memory_made_smaller_are_told(tiny_base, write_model, tmp_path, monkeypatch):
    """The model stands for a device on which nothing above 20 px fits."""
    call = Upscaler.__call__

    def with_little_memory(self, pixels):
        if max(pixels.shape[2:]) > 20:
            raise torch.OutOfMemoryError("injected")
        return call(self, pixels)

    monkeypatch.setattr(Upscaler, "__call__", with_little_memory)
    monkeypatch.setattr(importlib.import_module("scumble.generate.enlarger"), "choose_tiling", lambda *_: Tiling(64, 4))
    settings = {"prompt": "a three", "base": str(tiny_base), "steps": 1, "device": "cpu", "out": tmp_path / "out"}
    hires = {"hires_scale": 1.5, "hires_steps": 1, "hires_upscaler": str(write_model(compact, "2x-sharp"))}
    events = list(generate(from_values(GenerateConfig, {**settings, **hires})))
    assert [event.text for event in events if isinstance(event, Noted) and "memory" in event.text] == [
        "the memory was not enough for tiles of 64 px: 2x-sharp enlarged in tiles of 16 px, as the recipe says"
    ]


def test_what_is_missing_is_told_and_another_model_is_refused(draw, again, write_model):
    [file] = draw(hires_upscaler=str(write_model(compact, "2x-sharp")))
    with pytest.raises(ConfigError, match=r"missing is the model .* 2x-sharp \(hash [0-9a-f]{12}\): --hires-upscaler"):
        again(file)
    with pytest.raises(ConfigError, match=r"has the hash [0-9a-f]{12}; what enlarged was 2x-sharp"):
        again(file, hires_upscaler=write_model(esrgan, "other"))
    [plain] = draw(hires_upscaler="lanczos")
    with pytest.raises(ConfigError, match="hires_upscaler would have no effect: no model enlarged"):
        again(plain, hires_upscaler=write_model())


def test_a_picture_of_the_webui_takes_the_model_that_is_given(again, write_model, tiny_base, tmp_path):
    texts = PngInfo()
    passes = "Denoising strength: 0.2, Hires upscale: 2, Hires steps: 1, Hires upscaler: 4x-UltraSharp"
    texts.add_text("parameters", f"a dog\nSteps: 2, Sampler: DDIM, Seed: 5, Size: 32x32, {passes}")
    Image.new("RGB", (64, 64)).save(tmp_path / "webui.png", pnginfo=texts)
    said = again(tmp_path / "webui.png", base=str(tiny_base), hires_upscaler=write_model())
    assert "the pixels differ" in said[-1]
    [(recipe, made)] = read_all(next((tmp_path / "again").iterdir()))
    assert recipe.hires.upscaler == "4x-UltraSharp"
    assert len(recipe.hires.upscaler_hash) == 64
    assert made.upscaler_tile_px


def test_what_is_no_model_is_refused_before_the_base_is_loaded(draw, write_model, tmp_path):
    with pytest.raises(ConfigError, match="hires_upscaler=Latant: is no file; take latent, lanczos or the file"):
        draw(hires_upscaler="Latant")
    with pytest.raises(ConfigError, match="latent is no model's name in a recipe: rename the file"):
        draw(hires_upscaler=str(write_model(compact, "latent")))
    save_file({"some.weight": torch.zeros(2, 2)}, tmp_path / "other.safetensors")
    with pytest.raises(UpscalerError, match="expected a model that enlarges pictures"):
        draw(hires_upscaler=str(tmp_path / "other.safetensors"))


def test_a_pass_that_would_be_no_larger_is_refused(draw):
    with pytest.raises(ConfigError, match=r"hires_scale=1.2 would have no effect: .* take 1.25 or more"):
        draw(hires_scale=1.2)


def test_it_enlarges_in_tiles_as_often_as_it_takes_and_to_the_size(upscaler):
    enlarger = Enlarger(upscaler, Tiling(24, 8))
    assert enlarger(scene(40, 32), (100, 80)).size == (100, 80)
    assert enlarger.tile_px == 24
    whole = Enlarger(upscaler, Tiling(64, 32))(scene(40, 32), (80, 64))
    tiled = Enlarger(upscaler).with_tiles(64)(scene(40, 32), (80, 64))
    assert np.array_equal(whole, tiled)

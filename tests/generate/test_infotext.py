import json
import subprocess
import sys
from dataclasses import replace

import pytest
from PIL import Image

from scumble.errors import DataError
from scumble.generate.infotext import png_texts, read_infotext, read_recipes
from scumble.generate.recipe import HiresPass, LoraUse, Recipe, SourcePicture
from scumble.generate.samplers import find_sampler
from scumble.generate.webui_text import from_infotext, to_infotext

PLAIN = Recipe("a dog", 512, 640, seed=7)
HASH = "0123456789abcdef" * 4
RICH = Recipe(
    prompt='a "quoted", listed: prompt\nof two lines \\ 一只狗',
    width=64,
    height=64,
    negative_prompt='blurry, "bad"\nugly: 坏',
    steps=30,
    guidance_scale=7.5,
    sampler="DPM++ 2M Karras",
    seed=2**63 + 5,
    clip_skip=2,
    loras=(LoraUse("sks", 0.8, HASH), LoraUse("墨", -1.25, HASH[::-1])),
    base="/home/me/models, my: own/mini",
)


def saved(tmp_path, *recipes):
    path = tmp_path / "图 1.png"
    Image.new("RGB", (8, 8)).save(path, pnginfo=png_texts(*recipes))
    return path


def test_a_picture_file_gives_its_recipe_back_exactly(tmp_path):
    assert read_infotext(saved(tmp_path, RICH)) == RICH


def test_a_file_of_several_pictures_gives_all_recipes_back(tmp_path):
    assert read_recipes(saved(tmp_path, PLAIN, RICH)) == [PLAIN, RICH]


def test_the_infotext_is_as_the_webui_writes_it():
    assert to_infotext(RICH) == (
        'a "quoted", listed: prompt\nof two lines \\ 一只狗 <lora:sks:0.8> <lora:墨:-1.25>\n'
        'Negative prompt: blurry, "bad"\nugly: 坏\n'
        "Steps: 30, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 7.5, Seed: 9223372036854775813, Size: 64x64, Model: mini, "
        'Clip skip: 2, Lora hashes: "sks: 0123456789ab, 墨: fedcba987654"'
    )


def test_the_infotext_alone_tells_all_but_the_folder_and_the_rest_of_the_hashes():
    told = from_infotext(to_infotext(RICH))
    assert told == Recipe(
        **{
            **{name: getattr(RICH, name) for name in RICH.__dataclass_fields__},
            "base": "mini",
            "loras": (LoraUse("sks", 0.8, HASH[:12]), LoraUse("墨", -1.25, HASH[::-1][:12])),
        }
    )


IMG2IMG = Recipe("a dog", 512, 512, source=SourcePicture(HASH, 0.6, "cat.png"))
HIRES = Recipe("a dog", 512, 640, hires=HiresPass(1.5, 12, 0.45, "4x-UltraSharp", HASH))


@pytest.mark.parametrize("recipe", [IMG2IMG, HIRES])
def test_a_picture_file_tells_of_the_passes_exactly(tmp_path, recipe):
    assert read_infotext(saved(tmp_path, recipe)) == recipe


def test_the_infotext_tells_of_the_passes_as_the_webui_does():
    assert "Denoising strength: 0.6" in to_infotext(IMG2IMG)
    assert from_infotext(to_infotext(IMG2IMG)).source == SourcePicture("", 0.6)
    assert (
        "Denoising strength: 0.45, Hires upscale: 1.5, Hires steps: 12, Hires upscaler: 4x-UltraSharp"
        in to_infotext(HIRES)
    )
    assert from_infotext(to_infotext(HIRES)).hires == HiresPass(1.5, 12, 0.45, "4x-UltraSharp")
    plain = replace(HIRES, hires=HiresPass())
    assert "Hires upscaler: Latent" in to_infotext(plain)
    assert "Hires steps" not in to_infotext(plain)
    assert from_infotext(to_infotext(plain)).hires == HiresPass()


def test_a_second_pass_to_a_size_is_read_as_a_scale():
    text = (
        "a dog\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 5, Size: 512x512, Denoising strength: 0.5, "
        "Hires resize: 768x768, Hires upscaler: Lanczos"
    )
    assert from_infotext(text).hires == HiresPass(1.5, 0, 0.5, "lanczos")


def test_an_own_strength_in_the_text_encoder_goes_there_and_back(tmp_path):
    recipe = replace(PLAIN, loras=(LoraUse("sks", 0.8, HASH, "M00=0.5", 0.25),))
    assert "<lora:sks:0.25:0.8:lbw=M00=0.5>" in to_infotext(recipe)
    assert from_infotext(to_infotext(recipe)).loras == (LoraUse("sks", 0.8, HASH[:12], "M00=0.5", 0.25),)
    assert read_infotext(saved(tmp_path, recipe)) == recipe


def test_an_empty_prompt_goes_there_and_back():
    assert from_infotext(to_infotext(Recipe("", 64, 64))).prompt == ""


def test_a_text_of_a_newer_webui_is_read(tmp_path):
    text = (
        "a dog\nSteps: 20, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 7, Seed: 5, Size: 512x768, "
        'Model hash: 6ce0161689, Model: v1-5, ENSD: "a, b", Version: v1.10.1'
    )
    path = tmp_path / "webui.png"
    fields = png_texts(PLAIN)
    fields.chunks.clear()
    fields.add_text("parameters", text)
    Image.new("RGB", (8, 8)).save(path, pnginfo=fields)
    assert read_infotext(path) == Recipe(
        "a dog", 512, 768, steps=20, sampler="DPM++ 2M Karras", guidance_scale=7.0, seed=5, base="v1-5"
    )


@pytest.mark.parametrize(
    ("sampler", "told"),
    [
        ("Euler a", "Sampler: Euler a, Schedule type: Automatic,"),
        ("Euler a SGM Uniform", "Sampler: Euler a, Schedule type: SGM Uniform,"),
        ("DPM++ 2M SDE", "Sampler: DPM++ 2M SDE, Schedule type: Exponential,"),
        ("DDIM", "Sampler: DDIM, Schedule type: Automatic,"),
    ],
)
def test_sampler_and_schedule_are_told_as_the_webui_does(sampler, told):
    text = to_infotext(replace(PLAIN, sampler=sampler))
    assert told in text
    assert find_sampler(from_infotext(text).sampler) in (sampler, f"{sampler} Exponential")


def test_a_line_that_begins_like_the_negative_prompt_stays_in_the_prompt():
    """bench/webui_infotext.py found that A1111's parser cuts the prompt there."""
    recipe = replace(PLAIN, prompt="a dog,\n Negative prompt: no", negative_prompt="bad\nNegative prompt: ugly\n\n")
    read = from_infotext(to_infotext(recipe))
    assert read.prompt == "a dog, Negative prompt: no"
    assert read.negative_prompt == "bad Negative prompt: ugly"


def test_a_schedule_that_the_webui_ignores_is_not_read():
    text = to_infotext(replace(PLAIN, sampler="DDIM")).replace("Schedule type: Automatic", "Schedule type: Karras")
    assert from_infotext(text).sampler == "DDIM"


def test_a_picture_without_a_recipe_says_so(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "plain.png")
    with pytest.raises(DataError, match="carries no recipe"):
        read_infotext(tmp_path / "plain.png")
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(DataError, match="cannot read the picture"):
        read_infotext(tmp_path / "text.png")
    with pytest.raises(DataError, match="no recipe in the text"):
        from_infotext("a dog")


def test_prompt_infotext_and_events_do_not_import_torch():
    code = "import sys, json, scumble.generate.prompt, scumble.generate.infotext, scumble.generate.events; "
    code += "print(json.dumps([name for name in ('torch', 'diffusers', 'transformers') if name in sys.modules]))"
    assert json.loads(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout) == []

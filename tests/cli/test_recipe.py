"""The command recipe, as a person types it."""

import json

from PIL import Image

from scumble.generate.infotext import png_texts
from scumble.generate.recipe import HiresPass, LoraUse, Recipe, SourcePicture

HASH = "0123456789abcdef" * 4


def saved(tmp_path, *recipes):
    path = tmp_path / "a.png"
    Image.new("RGB", (8, 8)).save(path, pnginfo=png_texts(*recipes))
    return path


def test_a_recipe_is_printed_in_words(scumble, tmp_path):
    one = Recipe(
        "a [dog]", 64, 96, "blurry", loras=(LoraUse("ink", 0.8, HASH, "", 0.5),), base="mini", hires=HiresPass()
    )
    two = Recipe("", 64, 64, source=SourcePicture("", 0.5))
    code, out, _ = scumble("recipe", saved(tmp_path, one, two))
    assert code == 0
    words = " ".join(out.split())
    assert "prompt a [dog] negative blurry size 64 x 96 drawn by Euler a, 25 steps, guidance 7, clip skip 1" in words
    assert "LoRA <lora:ink:0.5:0.8>, hash 0123456789ab" in words
    assert "again 2 times as large by latent, 25 steps, strength 0.7" in words
    assert "prompt (empty)" in words
    assert "it does not say from which picture it started" in words


def test_a_recipe_is_printed_as_json(scumble, tmp_path):
    code, out, _ = scumble("recipe", saved(tmp_path, Recipe("a dog", 64, 96)), "--json")
    assert code == 0
    assert json.loads(out)[0]["prompt"] == "a dog"


def test_a_picture_without_a_recipe_is_an_error(scumble, tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "plain.png")
    code, _, err = scumble("recipe", tmp_path / "plain.png")
    assert code == 1
    assert "carries no recipe" in err


def test_seeds_are_taken_one_after_the_other(scumble):
    code, _, err = scumble("generate", "a dog", "--seeds", "1", "7", "x")
    assert code == 2
    assert "x" in err


def test_nothing_to_draw_is_an_error(scumble):
    code, _, err = scumble("generate", "--base", "mini")
    assert code == 2
    assert "nothing to draw: give a prompt, or prompts_file" in err

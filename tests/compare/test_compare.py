from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from scumble.compare.run import compare
from scumble.compare.shelf import named_apart
from scumble.errors import ConfigError, LoraFileError
from scumble.families.find import DEFAULT_BASE
from scumble.files.read import write_lora
from scumble.generate.events import Composed, Noted
from scumble.generate.infotext import read_infotext, read_recipes
from scumble.generate.loras import base_of


def cells(sheet, columns, rows):
    """The grid's pictures: its right and bottom margins are 6 gaps in all, its cells 128 pixels."""
    right, bottom = sheet.width - 12, sheet.height - 12
    boxes = [
        [(right - 132 * (columns - x) + 4, bottom - 132 * (rows - y) + 4) for x in range(columns)] for y in range(rows)
    ]
    return [[np.asarray(sheet.crop((x, y, x + 128, y + 128)), dtype=int) for x, y in row] for row in boxes]


def test_the_base_and_each_lora_stand_side_by_side_from_the_same_noise(tmp_path, config, lora, ink):
    still = tmp_path / "still.safetensors"
    zeros = {
        key: replace(layer, tensors={**layer.tensors, "up": torch.zeros_like(layer.tensors["up"])})
        for key, layer in lora.layers.items()
    }
    write_lora(replace(lora, layers=zeros), still)
    events = list(compare(config(lora=(still, ink), n=2)))
    [composed] = [event for event in events if isinstance(event, Composed)]
    for base, same, changed in cells(composed.image, columns=3, rows=2):
        assert np.abs(base - same).max() <= 1
        assert np.abs(base - changed).max() > 8


def test_the_picture_carries_every_recipe_the_first_of_them_with_its_lora(tmp_path, config, ink):
    list(compare(config(lora=(ink,), weight=0.5, prompt=("three", "four"))))
    path = tmp_path / "sub" / "compare.png"
    assert [use.tag for use in read_infotext(path).loras] == ["<lora:ink:0.5>"]
    assert [(recipe.prompt, len(recipe.loras)) for recipe in read_recipes(path)] == [
        ("three", 1),
        ("three", 0),
        ("four", 1),
        ("four", 0),
    ]
    assert Image.open(path).width > 2 * 128


def test_without_a_base_the_one_that_the_lora_was_trained_on_is_taken_and_told(tiny_base, config, ink):
    notes = [event.text for event in compare(config(lora=(ink,))) if isinstance(event, Noted)]
    assert notes == [f"base: {tiny_base}, which the LoRA was trained on"]


def test_an_earlier_comparison_is_replaced_and_that_is_told(tmp_path, tiny_base, config, ink):
    path = tmp_path / "sub" / "compare.png"
    path.parent.mkdir()
    path.write_text("old")
    notes = [event for event in compare(config(lora=(ink,), base=str(tiny_base))) if isinstance(event, Noted)]
    assert [note.text for note in notes] == [f"replacing {path}"]
    assert Image.open(path).format == "PNG"


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"prompt": ("a <lora:ink:1>",)}, "compare takes LoRAs by --lora only"),
        ({"out": Path("compare.jpg")}, "must be the name of a .png file"),
        ({"lora": (Path("gone.safetensors"),)}, "gone.safetensors: there is no such file"),
        ({"sampler": "Eular"}, "unknown sampler"),
    ],
)
def test_bad_settings_are_refused_before_anything_is_made(tmp_path, config, ink, settings, said):
    with pytest.raises((ConfigError, LoraFileError), match=said):
        list(compare(config(**{"lora": (ink,), **settings})))
    assert not (tmp_path / "sub").exists()


@pytest.fixture
def written(tmp_path, lora):
    """Writes a LoRA file of given metadata."""

    def write(name, **metadata):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_lora(replace(lora, metadata=metadata), path)
        return path

    return write


def test_files_of_one_name_are_told_apart_by_their_folders(written):
    paths = [written(f"{folder}/ink.safetensors") for folder in ("a/x", "b/x", "c/y")]
    paths.append(written("pen.safetensors"))
    assert [found.name for found in named_apart(paths, 1.0)] == ["a/x/ink", "b/x/ink", "y/ink", "pen"]


def test_loras_of_different_bases_need_a_base_to_be_named(written):
    one = written("one.safetensors", **{"scumble.base": "a/b"})
    two = written("two.safetensors", ss_sd_model_name="c/d")
    with pytest.raises(ConfigError, match=r"one.safetensors on a/b, two.safetensors on c/d"):
        base_of([one, two])
    assert base_of([two])[0] == "c/d"


def test_a_lora_that_does_not_say_its_base_is_compared_on_the_default(written):
    assert base_of([written("a.safetensors")])[0] == DEFAULT_BASE
    assert base_of([written("b.safetensors", ss_sd_model_name="v1-5-pruned.ckpt")])[0] == DEFAULT_BASE


def test_a_part_of_a_lora_is_compared_only_where_it_is_allowed(config, ink):
    tensors = load_file(ink)
    tensors |= {
        "lora_unet_other.lora_down.weight": torch.ones(2, 8),
        "lora_unet_other.lora_up.weight": torch.ones(8, 2),
    }
    with safe_open(ink, "pt") as file:
        save_file(tensors, ink, file.metadata())
    with pytest.raises(LoraFileError, match="--allow-partial"):
        list(compare(config(lora=(ink,))))
    events = list(compare(config(lora=(ink,), allow_partial=True)))
    said = [event.text for event in events if isinstance(event, Noted) and event.warning]
    assert said == ["LoRA ink: left out 1 of its layers or tensors: lora_unet_other"]

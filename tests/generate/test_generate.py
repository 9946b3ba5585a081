import hashlib
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image, ImageChops
from safetensors.torch import load_file, save_file
from tests.files.kinds import random_layer

from scumble.adapters.weight import weight_of
from scumble.config import GenerateConfig
from scumble.device import choose_dtype, memory_advice, take_device
from scumble.errors import BaseModelError, ConfigError, LoraFileError, OutOfMemoryError
from scumble.files.fingerprint import fingerprint
from scumble.files.lorafile import LoraFile
from scumble.files.read import write_lora
from scumble.generate.events import Composed, Noted, Painted
from scumble.generate.infotext import read_infotext, read_recipes
from scumble.generate.passes import steps_taken
from scumble.generate.plan import count_moments
from scumble.generate.recipe import Recipe, SourcePicture
from scumble.generate.run import generate, pictures


@pytest.fixture
def config(tmp_path, tiny_base):
    """Settings of a quick drawing on the tiny base, some of them changed."""
    plain = {"prompt": "a handwritten three", "base": str(tiny_base), "steps": 2, "device": "cpu"}
    plain |= {"out": tmp_path / "out", "runs_dir": tmp_path / "runs"}
    return lambda **settings: GenerateConfig(**{**plain, **settings})


def events_of(kind, events):
    return [event for event in events if isinstance(event, kind)]


def test_each_picture_is_saved_with_the_recipe_that_draws_it_again(config, ink_file, painter, make_lora):
    events = list(generate(config(prompt="a handwritten three <lora:ink:0.8>", n=2, batch_size=2)))
    painted = events_of(Painted, events)
    assert [(event.path.name, event.index, event.total) for event in painted] == [
        ("00001-1025.png", 1, 2),
        ("00002-1026.png", 2, 2),
    ]
    recipe = read_infotext(painted[1].path)
    assert recipe == painted[1].recipe
    assert (recipe.seed, recipe.prompt, recipe.loras[0].weight) == (1026, "a handwritten three", 0.8)
    painter.add_lora("ink", make_lora())
    [again] = painter.paint([recipe])
    assert difference(again.image, Image.open(painted[1].path)) <= 1


def difference(a, b):
    return max(high for _, high in ImageChops.difference(a, b.convert("RGB")).getextrema())


def test_pictures_never_overwrite_and_count_up(tmp_path, config):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "00041-7.png").write_text("mine")
    [event] = events_of(Painted, generate(config()))
    assert event.path.name == "00042-1025.png"
    assert (tmp_path / "out" / "00041-7.png").read_text() == "mine"


def test_the_lora_hash_is_that_of_the_tensors_alone(config, ink_file):
    content = ink_file.read_bytes()
    tensors = content[8 + int.from_bytes(content[:8], "little") :]
    [event] = events_of(Painted, generate(config(lora=(ink_file,))))
    assert event.recipe.loras[0].hash == hashlib.sha256(tensors).hexdigest()
    assert event.recipe.loras[0].weight == 1.0


def test_a_strip_has_twenty_moments_or_as_many_as_there_are(config):
    def shown(*recipes, **settings):
        return count_moments(config(strip=True, **settings), recipes)

    recipe = Recipe("a red line", 32, 32, steps=25)
    assert shown(recipe) == 20
    assert shown(recipe, replace(recipe, steps=4)) == 5
    half = replace(recipe, source=SourcePicture("hash", 0.5))
    assert shown(half) == steps_taken(half) + 1 < 20
    assert shown(recipe, moments=7) == 7
    assert count_moments(config(), [recipe]) == 0
    with pytest.raises(ConfigError, match="no effect"):
        config(moments=5)


def test_a_strip_is_saved_beside_the_pictures(tmp_path, config):
    events = list(generate(config(n=2, steps=4, strip=True, moments=5)))
    [composed] = events_of(Composed, events)
    assert (composed.path.name, composed.what) == ("00003-1025-strip.png", "strip")
    assert [recipe.seed for recipe in read_recipes(composed.path)] == [1025, 1026]


def test_a_long_prompt_with_weights_is_drawn_without_a_word(tmp_path, config):
    prompt = "one " * 75 + "(two:1.2) three"
    events = list(generate(config(prompt=prompt)))
    assert events_of(Noted, events) == []
    [painted] = events_of(Painted, events)
    assert read_infotext(painted.path).prompt == prompt


def test_pictures_are_drawn_from_python_without_a_file(tmp_path, config):
    with pytest.warns(UserWarning, match="changes between steps in the WebUI"):
        [picture] = pictures(config(prompt="a [red:blue:0.5] three"))
    assert picture.image.size == (32, 32)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("settings", "error", "said"),
    [
        ({"prompt": "a <lora:gone:1>"}, ConfigError, "LoRA 'gone' not found"),
        ({"lora": (Path("gone.safetensors"),)}, LoraFileError, "there is no such file"),
        ({"sampler": "Eular a"}, ConfigError, "did you mean 'Euler a'"),
        ({"negative_prompt": "blue", "guidance_scale": 1}, ConfigError, "negative_prompt would have no effect"),
        ({"negative_prompt": "<lora:ink:1>"}, ConfigError, "negative_prompt: a LoRA there has no effect"),
        ({"strip": True, "moments": 20}, ConfigError, "20 moments of 2 steps"),
        ({"height": 70}, ConfigError, "height=70: must be a multiple of 8"),
        ({"base": "/no/such/base/folder"}, BaseModelError, "no such folder"),
        ({"device": "cuda:99"}, ConfigError, "device=cuda:99: not to be had here"),
        ({"device": "abacus"}, ConfigError, "device=abacus: not a device"),
    ],
)
def test_bad_settings_are_refused_before_anything_is_made(tmp_path, config, settings, error, said):
    with pytest.raises(error, match=said):
        list(generate(config(**settings)))
    assert not (tmp_path / "out").exists()


def test_a_damaged_lora_is_refused(tmp_path, config):
    path = tmp_path / "bad.safetensors"
    path.write_bytes(b"not a LoRA at all")
    with pytest.raises(LoraFileError, match=r"bad\.safetensors"):
        list(generate(config(lora=(path,))))


def test_a_file_in_place_of_the_folder_is_refused(tmp_path, config):
    (tmp_path / "out").write_text("mine")
    with pytest.raises(ConfigError, match="is a file; give a folder"):
        list(generate(config()))


def test_half_precision_draws_nearly_the_same_picture(tmp_path, config):
    [full], [half] = (
        pictures(config(mixed_precision=precision, sampler="DDIM", steps=4)) for precision in ("no", "bf16")
    )
    assert difference(full.image, half.image) < 40


def test_memory_that_runs_out_comes_with_advice():
    with pytest.raises(OutOfMemoryError, match=r"not enough memory: .*; draw less"), memory_advice("draw less"):
        torch.empty(10**15)
    with pytest.raises(RuntimeError, match="other"), memory_advice("draw less"):
        raise RuntimeError("other")


def test_the_device_is_chosen_and_its_precision_follows():
    assert take_device("cpu") == torch.device("cpu")
    assert take_device(None).type in ("cuda", "mps", "cpu")
    assert choose_dtype(None, torch.device("cpu")) == torch.float32
    assert choose_dtype(None, torch.device("cuda")) == torch.float16
    assert choose_dtype("bf16", torch.device("cpu")) == torch.bfloat16


def test_a_lora_of_another_base_is_told(tmp_path, config, make_lora):
    path = tmp_path / "other.safetensors"
    write_lora(replace(make_lora(), metadata={"ss_sd_model_name": "someone/else"}), path)
    [noted] = events_of(Noted, generate(config(lora=(path,))))
    assert "was trained on someone/else" in noted.text


def fingerprint_of(painter, lora, noise=0.0):
    """The fingerprint of the layers that a LoRA adapts, as it would be on a base that far away."""
    generator = torch.Generator().manual_seed(0)
    weights = {path: weight_of(painter.denoiser.get_submodule(path)) for path in lora.part("unet")}
    return fingerprint(
        {
            path: weight + noise * weight.std() * torch.randn(weight.shape, generator=generator)
            for path, weight in weights.items()
        }
    )


@pytest.mark.parametrize(("noise", "warnings"), [(0.0, []), (0.1, [False]), (3.0, [True])])
def test_how_far_the_base_is_from_that_of_training_is_told(tmp_path, config, painter, make_lora, noise, warnings):
    path, lora = tmp_path / "ink.safetensors", make_lora()
    known = {"scumble.base": "someone/else", "scumble.fingerprint": fingerprint_of(painter, lora, noise)}
    write_lora(replace(lora, metadata=known), path)
    noted = events_of(Noted, generate(config(lora=(path,))))
    assert [note.warning for note in noted] == warnings
    assert all("its layers differ by" in note.text for note in noted)


@pytest.fixture
def file_with_more(ink_file):
    """The file of ink, with one layer that the base has not."""
    tensors = load_file(ink_file)
    tensors |= {
        "lora_unet_other.lora_down.weight": torch.ones(2, 8),
        "lora_unet_other.lora_up.weight": torch.ones(8, 2),
    }
    path = ink_file.with_name("more.safetensors")
    save_file(tensors, path)
    return path


def test_a_lora_that_fits_in_part_is_an_error_that_says_how_to_use_the_part(config, file_with_more, tmp_path):
    with pytest.raises(
        LoraFileError, match=r"1 of 33 layers match nothing in this base: lora_unet_other.*--allow-part"
    ):
        list(generate(config(lora=(file_with_more,))))
    assert not list(tmp_path.glob("out/*"))


def test_a_part_of_a_lora_draws_as_that_part_and_the_rest_is_warned_of(config, file_with_more, ink_file):
    events = list(generate(config(lora=(file_with_more,), allow_partial=True)))
    said = [event.text for event in events_of(Noted, events) if event.warning]
    assert said == ["LoRA more: left out 1 of its layers or tensors: lora_unet_other"]
    [whole] = events_of(Painted, generate(config(lora=(ink_file,))))
    assert events_of(Painted, events)[0].image.tobytes() == whole.image.tobytes()


def test_a_part_of_no_lora_would_have_no_effect(config):
    with pytest.raises(ConfigError, match="allow_partial would have no effect: it needs a LoRA"):
        config(allow_partial=True)
    assert config(prompt="a dog <lora:ink:1>", allow_partial=True).allow_partial


def tensor_bytes(path):
    content = path.read_bytes()
    return content[8 + int.from_bytes(content[:8], "little") :]


def test_a_peft_folder_draws_what_the_file_draws(config, ink_file, make_lora, tmp_path):
    lora = make_lora()
    text = "text_encoder.text_model.encoder.layers.0.mlp.fc1"
    lora = LoraFile({**lora.layers, text: random_layer("lora", (64, 32), 2, 1.0, 0)})
    write_lora(lora, ink_file)
    [of_file] = events_of(Painted, generate(config(prompt="a three <lora:ink:0.8>")))
    folder = tmp_path / "other runs" / "ink" / "ink.peft"
    folder.parent.mkdir(parents=True)
    write_lora(lora, folder, "peft")
    runs = {"runs_dir": tmp_path / "other runs"}
    [of_folder] = events_of(Painted, generate(config(prompt="a three <lora:ink:0.8>", **runs)))
    assert difference(of_folder.image, of_file.image) <= 1
    assert difference(of_folder.image, events_of(Painted, generate(config(prompt="a three")))[0].image) > 1
    parts = [folder / part / "adapter_model.safetensors" for part in ("unet", "text_encoder")]
    expected = hashlib.sha256(b"".join(map(tensor_bytes, parts))).hexdigest()
    assert of_folder.recipe.loras[0].hash == expected


def test_a_peft_folder_tells_the_base_it_was_trained_on(config, make_lora, tiny_base, tmp_path):
    write_lora(LoraFile(make_lora().layers, {"scumble.base": str(tiny_base)}), tmp_path / "ink", "peft")
    events = list(generate(config(base=None, lora=(tmp_path / "ink",))))
    assert events_of(Noted, events)[0].text == f"base: {tiny_base}, which the LoRA was trained on"


def test_a_folder_that_is_no_lora_is_said(config, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(LoraFileError, match=r"found a folder without adapter_model\.safetensors"):
        list(generate(config(lora=(tmp_path / "empty",))))

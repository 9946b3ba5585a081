"""Weights on words and long prompts in generation: what the WebUI makes of the same text, and pictures that follow it."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from scumble.compare.run import compare
from scumble.config import CompareConfig, GenerateConfig
from scumble.errors import ConfigError
from scumble.families.chunks import Words
from scumble.families.clip import Clip
from scumble.families.find import open_base
from scumble.families.vocabulary import clip_tokenizer
from scumble.generate.draw import draw_latents
from scumble.generate.recipe import LoraUse, Recipe
from scumble.generate.run import generate
from scumble.generate.weighted import count_chunks, other_syntax, parse_weights, prompt_states

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "webui_prompts.json").read_text(encoding="utf-8"))
RECIPE = Recipe("a red line", 32, 32, steps=2, guidance_scale=3.0, sampler="DDIM", seed=5)
LONG = "a red line " * 26  # 78 tokens


def flat(prompt):
    """The sections of a prompt as the WebUI writes them."""
    pairs = []
    for index, section in enumerate(parse_weights(prompt)):
        pairs += [["BREAK", -1]] if index else []
        pairs += [[words.text, words.weight] for words in section]
    return pairs


@pytest.mark.parametrize("case", GOLDEN, ids=lambda case: case["prompt"][:30])
def test_the_parser_says_what_the_webuis_says(case):
    """bench/webui_prompts.py made the cases with A1111's own parser."""
    assert flat(case["prompt"]) == case["parsed"]


@pytest.fixture(scope="module")
def clip():
    return Clip(clip_tokenizer("<|endoftext|>"), None, 75)


@pytest.mark.parametrize("case", GOLDEN, ids=lambda case: case["prompt"][:30])
def test_the_chunks_are_those_of_the_webui(clip, case):
    """bench/webui_prompts.py made the cases with A1111's own chunking."""
    ours = [
        {"tokens": list(chunk.tokens), "weights": list(chunk.weights)}
        for chunk in clip.chunks(parse_weights(case["prompt"]))
    ]
    assert ours == case["chunks"]


def test_the_cases_have_long_prompts_and_breaks_and_weights_among_them():
    assert len(GOLDEN) >= 30
    assert sum(len(case["chunks"]) > 1 for case in GOLDEN) >= 6
    assert {1.1, 1.1 * 1.1, 1 / 1.1, 1.2, -1.0, 0.0} <= {weight for case in GOLDEN for _, weight in case["parsed"]}


def test_break_within_brackets_breaks_and_the_weight_goes_on():
    """The WebUI multiplies its mark of the BREAK, no longer knows it, and draws the word."""
    assert parse_weights("(a BREAK b:1.2)") == ((Words("a", 1.2),), (Words("b", 1.2),))


@pytest.mark.parametrize("prompt", ["a (dog:1.2.3)", "a (dog:.)", f"a (dog:{'9' * 400})"])
def test_a_weight_that_is_no_number_is_refused(prompt):
    with pytest.raises(ConfigError, match=r"is no weight, in 'a \(dog:.*write such as \(word:1.2\)"):
        parse_weights(prompt)


@pytest.mark.parametrize("field", ["prompt", "negative_prompt"])
def test_it_is_refused_before_anything_is_loaded(tmp_path, field):
    settings = {"prompt": "a dog", "base": str(tmp_path / "no such base"), field: "a (dog:1.2.3)"}
    with pytest.raises(ConfigError, match="is no weight"):
        list(generate(GenerateConfig(**settings)))
    with pytest.raises(ConfigError, match="is no weight"):
        list(compare(CompareConfig(**{**settings, "prompt": (settings["prompt"],)}, lora=(Path(__file__),))))


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        ("a [red:blue:0.5] dog", "'[red:blue:0.5]' changes between steps"),
        ("a [red:.5] dog", "'[red:.5]' changes between steps"),
        ("a [red::5] dog", "'[red::5]' changes between steps"),
        ("a [red|blue] dog", "'[red|blue]' changes between steps"),
        ("a dog AND a cat", "'AND' composes"),
        ("a dog <hypernet:ink:1>", "'<hypernet:ink:1>' names a network of the WebUI that is not known here"),
    ],
)
def test_what_the_webui_reads_otherwise_is_told(prompt, said):
    assert other_syntax(prompt).startswith(said)


@pytest.mark.parametrize("prompt", ["a [red] dog", "a (red:1.2) dog", r"\[red|blue]", "12:30", "a ANDROID", "a | b"])
def test_what_means_the_same_in_the_webui_is_not_remarked_on(prompt):
    assert other_syntax(prompt) is None


def latents_of(painter, prompt, negative=""):
    num_chunks = count_chunks(painter.text_encoder, [prompt, negative])
    positive, away = painter.text_states([prompt], 1, num_chunks), painter.negative_states([negative], 1, num_chunks)
    return draw_latents(painter.base, painter.denoiser, positive, away, [RECIPE.seed], settings_of(RECIPE))


def settings_of(recipe):
    from scumble.generate.draw import Settings

    return Settings(recipe.width, recipe.height, recipe.steps, recipe.guidance_scale, recipe.sampler)


def same(a, b, tolerance=0):
    return bool(np.abs(np.asarray(a.image, dtype=int) - np.asarray(b.image, dtype=int)).max() <= tolerance)


@pytest.mark.parametrize(
    "changed", ["a (red:1.5) line", "a (red) line", "a [red] line", LONG, "a red line BREAK an old style"]
)
def test_weights_and_further_chunks_change_the_picture(painter, changed):
    plain = latents_of(painter, "a red line")
    assert (latents_of(painter, changed) - plain).abs().max() > 1e-3


@pytest.mark.parametrize("signs", [r"a \(red\) line", r"a \[red\] line"])
def test_an_escaped_bracket_is_a_sign(painter, signs):
    [state] = painter.text_states([signs])
    [plain] = painter.text_encoder.encode([signs.replace("\\", "")], 1)
    assert torch.equal(state["hidden"], plain["hidden"])


def test_the_negative_prompt_has_weights_and_any_length_too(painter):
    plain = latents_of(painter, "a red line", "an old style")
    assert (latents_of(painter, "a red line", "an (old:1.5) style") - plain).abs().max() > 1e-3
    assert (latents_of(painter, "a red line", "an old style " * 26) - plain).abs().max() > 1e-3


def test_a_long_prompt_depends_on_its_last_words(painter):
    assert (latents_of(painter, LONG + "red") - latents_of(painter, LONG + "old")).abs().max() > 1e-5


def test_the_shorter_of_two_prompts_is_filled_up_with_the_empty_one(painter):
    short, long = painter.text_states(["a red line", LONG])
    [empty] = painter.text_states([""])
    assert short["hidden"].shape == long["hidden"].shape
    torch.testing.assert_close(short["hidden"][77:], empty["hidden"])


def test_a_picture_does_not_depend_on_the_length_of_its_neighbours_prompts(painter):
    recipes = [RECIPE, replace(RECIPE, prompt=LONG), replace(RECIPE, negative_prompt=LONG), RECIPE]
    together = painter.paint(recipes, batch_size=4)
    for one, recipe in zip(together, recipes, strict=True):
        assert same(one, painter.paint([recipe])[0], tolerance=1)  # some processors add up a batch in another order
    assert not same(together[0], together[1], tolerance=1)


def test_a_lora_of_the_text_encoder_acts_on_every_chunk(painter, make_lora, make_layer):
    path = next(path for path in painter.base.layer_paths()["text_encoder"] if path.endswith("v_proj"))
    layer = make_layer((32, 32), torch.Generator().manual_seed(1), 0.4)
    lora = replace(make_lora(), layers={f"text_encoder.{path}": layer})
    painter.add_lora("words", lora)
    painter.use_loras([])
    [before] = painter.text_states([LONG])
    painter.use_loras([LoraUse("words", 1.0)])
    [after] = painter.text_states([LONG])
    change = (after["hidden"] - before["hidden"]).abs().amax(dim=1)
    assert (change[:77].max(), change[77:].max()) > (0.01, 0.01)
    painter.use_loras([])
    assert torch.equal(painter.text_states([LONG])[0]["hidden"], before["hidden"])


@pytest.mark.parametrize("family", ["sd2_base", "sdxl_base"])
def test_every_family_draws_long_and_weighted_prompts(request, family):
    from scumble.generate.painter import Painter

    painter = Painter.load(open_base(str(request.getfixturevalue(family))), torch.device("cpu"), torch.float32)
    recipe = replace(RECIPE, width=64, height=64)
    prompts = ["a red line", "a (red:1.3) line", "a red line BREAK an old style"]
    plain, weighted, long = painter.paint([replace(recipe, prompt=prompt) for prompt in prompts])
    assert not same(plain, weighted)
    assert not same(plain, long)


def test_states_are_without_gradient_needs_where_none_are_enabled(painter):
    with torch.no_grad():
        [state] = prompt_states(painter.text_encoder, ["a (red:1.2) line"], 1)
    assert not state["hidden"].requires_grad


def test_compare_draws_weighted_prompts(tmp_path, tiny_base, ink_file):
    out = tmp_path / "grid.png"
    events = list(
        compare(
            CompareConfig(prompt=("a (red:1.2) line", LONG), lora=(ink_file,), base=str(tiny_base), out=out, steps=2)
        )
    )
    assert not [event for event in events if getattr(event, "warning", False)]
    assert out.exists()

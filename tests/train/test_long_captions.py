"""Captions of more than 75 tokens: seen where it is asked for, and where not, the words that are not seen are named."""

import pytest
import torch
from safetensors.torch import load_file
from tests.thinned import thinned

from scumble.config import TrainConfig, from_values
from scumble.data.cache import TensorCache
from scumble.data.encode import encode_captions
from scumble.errors import ConfigError
from scumble.families.find import open_base
from scumble.generate.events import Noted
from scumble.generate.painter import Painter
from scumble.train.events import Sampled
from scumble.train.loop import train
from scumble.train.material import prepare_material
from scumble.train.plan import make_plan

LONG = "a red line " * 26 + "in an old style"  # 84 tokens
TWO = {"data": {"max_token_length": 150}}


@pytest.fixture
def settings(common, photos):
    """A short run on twelve pictures, of which one has a long caption and one weighted words."""
    (photos / "00.txt").write_text(LONG, encoding="utf-8")
    (photos / "01.txt").write_text("a (red:1.5) line", encoding="utf-8")
    return lambda *changes: common(
        {"training": {"max_train_steps": 2}, "validation": {"validation_split": 0}}, *changes
    )


def material_of(config, prompts=()):
    """What a run feeds on, and what was said on the way."""
    said = []
    steps = prepare_material(make_plan(config), None, prompts)
    while True:
        try:
            said.append(next(steps))
        except StopIteration as end:
            return end.value, [item.text for item in said if isinstance(item, Noted) and item.warning]


def test_the_words_that_are_not_seen_are_named(settings):
    _, said = material_of(settings())
    assert said == [
        "1 caption does not fit into max_token_length = 75: 150 sees all. Of the first, 84 tokens in 2 chunks, this is not "
        "seen: 'a red line in an old style'"
    ]


def test_a_caption_that_is_too_long_for_all_lengths_is_told_to_be_shortened(settings, photos):
    (photos / "00.txt").write_text("red " * 300, encoding="utf-8")
    _, said = material_of(settings(TWO))
    assert "225 is the most that can be: shorten them" in said[0]
    assert len(said[0]) < 300
    assert said[0].endswith("red …' (150 words)")


def test_what_follows_a_break_is_not_seen_in_one_chunk(settings, photos):
    (photos / "00.txt").write_text("a red line BREAK in an old style", encoding="utf-8")
    _, said = material_of(settings())
    assert said[0].endswith("this is not seen: 'in an old style'")
    assert material_of(settings(TWO))[1] == []


def test_with_more_chunks_all_is_seen_and_nothing_is_said(settings):
    material, said = material_of(settings(TWO))
    assert said == []
    states = material.mixture.own[0].states
    assert {tuple(state["hidden"].shape) for state in states.values()} == {(154, 32)}
    assert torch.equal(states[""]["hidden"][:77], states[""]["hidden"][77:])
    assert (states[LONG]["hidden"] - states[""]["hidden"])[77:].abs().max() > 0.01


@pytest.mark.parametrize(
    ("base", "trains_text"), thinned([("tiny_base", True), ("sdxl_base", False)], ("tiny_base", True))
)
def test_a_run_on_long_captions_ends_with_its_proof(request, settings, base, trains_text):
    chosen = {"model": {"base": str(request.getfixturevalue(base))}, "adapter": {"train_text_encoder": trains_text}}
    finished = list(train(settings(chosen, TWO)))[-1]
    assert finished.figures["effect_error"] < 5e-3


def test_the_words_beyond_the_first_chunk_change_the_file(settings, photos, tmp_path):
    def trained(name, caption):
        for path in photos.glob("*.txt"):
            path.write_text(caption, encoding="utf-8")
        list(train(settings(TWO, {"output": {"name": name}})))
        return load_file(tmp_path / "runs" / name / f"{name}.safetensors")

    one, other = trained("one", LONG), trained("other", LONG + " on paper")
    assert any((one[key] - other[key]).abs().max() > 1e-6 for key in one)


def test_brackets_in_captions_are_plain_signs(settings, tiny_base, cpu):
    material, _ = material_of(settings())
    [plain] = open_base(str(tiny_base)).load_text_encoder(cpu).encode(["a (red:1.5) line"], 1)
    assert torch.equal(material.mixture.own[0].states["a (red:1.5) line"]["hidden"], plain["hidden"])


def test_sample_prompts_are_read_as_generation_reads_them(settings, tiny_base, cpu):
    prompt = "a (red:1.5) line BREAK an old style"
    material, _ = material_of(settings(), [prompt])
    painter = Painter.load(open_base(str(tiny_base)), cpu, torch.float32)
    theirs, empty = painter.text_states([prompt, ""])
    positive, negative = material.prompts[prompt]
    assert torch.equal(positive["hidden"], theirs["hidden"])
    assert torch.equal(negative["hidden"], empty["hidden"])


@pytest.mark.parametrize("trains_text", [False, True], ids=["denoiser", "text encoder too"])
def test_long_sample_prompts_are_drawn(settings, trains_text):
    shown = {"validation": {"validation_prompt": f"a (red:1.2) line | {LONG}", "sample_steps": 2}}
    events = list(train(settings(shown, {"adapter": {"train_text_encoder": trains_text}})))
    assert len([event for event in events if isinstance(event, Sampled)]) == 1


@pytest.mark.parametrize("where", [("validation", "validation_prompt"), ("prior", "class_prompt")])
def test_a_prompt_with_a_weight_that_is_no_number_is_refused_by_the_plan(settings, where):
    section, key = where
    with pytest.raises(ConfigError, match="is no weight"):
        make_plan(settings({section: {key: "a (dog:1.2.3)"}}))


def test_states_of_another_length_are_computed_anew_and_kept_apart(tiny_base, tmp_path, cpu):
    base = open_base(str(tiny_base))
    cache, loads = TensorCache(tmp_path / "kept"), []

    def states(num_chunks):
        def load():
            loads.append(num_chunks)
            return base.load_text_encoder(cpu)

        return encode_captions([LONG], 1, cache, base.text_shapes(num_chunks), "hash", load, num_chunks)[LONG]

    assert [states(count)["hidden"].shape[0] for count in (1, 2, 1, 2)] == [77, 154, 77, 154]
    assert loads == [1, 2]


@pytest.mark.parametrize("tokens", [0, 77, 100, 300])
def test_only_whole_chunks_up_to_three_can_be_asked_for(tokens):
    with pytest.raises(ConfigError, match=rf"max_token_length={tokens} in \[data\]: must be 75, 150 or 225"):
        from_values(TrainConfig, {"data": {"max_token_length": tokens}})

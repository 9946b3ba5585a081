"""Prompts beyond 77 tokens: where the WebUI's rule cuts them, and the joined states beside transformers' own models."""

import pytest
import torch
from torch.testing import assert_close
from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from scumble.families.chunks import Chunk, Words, chunked, sections_of
from scumble.families.find import open_base

CPU = torch.device("cpu")
COMMA = 99
FAMILIES = ["tiny_base", "sd2_base", "sdxl_base"]
TWO_CHUNKS = "a red line " * 26  # 78 tokens, no comma


def plain(tokens):
    return [(token, 1.0) for token in tokens]


def cut(*sections, room=75, num_chunks=None):
    return [list(chunk.tokens) for chunk in chunked([plain(each) for each in sections], room, COMMA, num_chunks)]


WORDS = list(range(100, 200))


@pytest.mark.parametrize(("comma_at", "end"), [(54, 75), (55, 56), (60, 61), (74, 75)])
def test_a_chunk_ends_after_a_comma_among_its_last_twenty_tokens(comma_at, end):
    tokens = [*WORDS[:comma_at], COMMA, *WORDS[comma_at + 1 :]]
    assert cut(tokens) == [tokens[:end], tokens[end:]]


def test_a_comma_that_is_the_first_beyond_a_full_chunk_begins_the_next():
    tokens = [*WORDS[:60], COMMA, *WORDS[61:75], COMMA, *WORDS[76:]]
    assert cut(tokens) == [tokens[:75], tokens[75:]]


def test_of_two_commas_the_last_counts():
    tokens = [*WORDS[:58], COMMA, *WORDS[59:70], COMMA, *WORDS[71:]]
    assert cut(tokens) == [tokens[:71], tokens[71:]]


def test_what_went_over_counts_in_the_next_chunk():
    tokens = [*range(100, 156), COMMA, *range(157, 240), COMMA]
    assert [len(chunk) for chunk in cut(tokens)] == [57, 75, 9]


def test_a_prompt_that_fits_is_one_chunk_whatever_its_commas():
    tokens = [*WORDS[:70], COMMA, *WORDS[71:75]]
    assert cut(tokens) == [tokens]
    assert cut([]) == [[]]


def test_break_begins_a_new_chunk():
    assert cut([1, 2], [3]) == [[1, 2], [3]]
    assert cut([], [3]) == [[], [3]]
    assert cut([1], [], [3]) == [[1], [], [3]]
    assert cut([1], []) == [[1]]
    assert cut(WORDS[:75], [3]) == [WORDS[:75], [3]]


def test_a_given_number_of_chunks_is_filled_with_empty_ones_or_kept_to():
    assert cut([1, 2], num_chunks=3) == [[1, 2], [], []]
    assert cut([1], [2], [3], num_chunks=2) == [[1], [2]]
    assert cut(WORDS, num_chunks=1) == [WORDS[:75]]


def test_the_last_chunk_that_is_kept_holds_as_much_as_it_can():
    tokens = [*WORDS[:60], COMMA, *WORDS[61:]]
    assert cut(tokens, num_chunks=1) == [tokens[:75]]
    assert cut(tokens, num_chunks=2) == [tokens[:61], tokens[61:]]


def test_weights_go_where_their_tokens_go():
    tokens = [(COMMA if index == 60 else index, 1.0 if index < 70 else 1.5) for index in range(80)]
    first, second = chunked([tokens], 75, COMMA)
    assert first.weights == (1.0,) * 61
    assert second == Chunk((*range(61, 80),), (1.0,) * 9 + (1.5,) * 10)


@pytest.mark.parametrize(
    ("caption", "parts"),
    [
        ("a dog", ["a dog"]),
        ("a dog BREAK a cat", ["a dog", "a cat"]),
        ("a dog,\nBREAK\na (cat:1.2)", ["a dog,", "a (cat:1.2)"]),
        ("BREAKFAST at a break", ["BREAKFAST at a break"]),
    ],
)
def test_a_plain_text_is_split_at_break_and_its_brackets_are_signs(caption, parts):
    assert sections_of(caption) == tuple((Words(part),) for part in parts)


class Transformers:
    """The text models and tokenizers of a folder, loaded by themselves, knowing nothing of scumble."""

    def __init__(self, folder):
        self.parts = []
        for end, kind in (("", CLIPTextModel), ("_2", CLIPTextModelWithProjection)):
            if (folder / f"text_encoder{end}").is_dir():
                model = kind.from_pretrained(folder / f"text_encoder{end}", dtype=torch.float32).eval()
                self.parts.append((CLIPTokenizer.from_pretrained(folder / f"tokenizer{end}"), model))

    @torch.no_grad()
    def state(self, chunks, clip_skip=1):
        """Each chunk, a prompt that fits, run by itself; the states one after the other, the encoders side by side."""
        sides, pooled = [], None
        for tokenizer, model in self.parts:
            states = []
            for index, chunk in enumerate(chunks):
                ids = tokenizer(chunk, padding="max_length", max_length=77, return_tensors="pt").input_ids
                output = model(ids, output_hidden_states=True)
                if index == 0:
                    pooled = getattr(output, "text_embeds", None)
                if len(self.parts) == 2:
                    states.append(output.hidden_states[-max(clip_skip, 2)][0])
                else:
                    norm = getattr(model, "text_model", model).final_layer_norm
                    states.append(norm(output.hidden_states[-clip_skip])[0])
            sides.append(torch.cat(states))
        state = {"hidden": torch.cat(sides, dim=-1)}
        return state if pooled is None else {**state, "pooled": pooled[0]}


@pytest.fixture(params=FAMILIES)
def folder(request):
    return request.getfixturevalue(request.param)


@pytest.fixture
def encoder(folder):
    return open_base(str(folder)).load_text_encoder(CPU)


@pytest.fixture
def theirs(folder):
    return Transformers(folder)


def words(text):
    """A prompt's words of one token each, from one number to another."""
    parts = text.split()
    return lambda start, end=None: " ".join(parts[start:end])


@pytest.mark.parametrize("clip_skip", [1, 2])
def test_two_chunks_are_two_runs_of_the_text_model_joined(encoder, theirs, clip_skip):
    part = words(TWO_CHUNKS)
    [ours] = encoder.encode([TWO_CHUNKS], clip_skip, 2)
    assert encoder.count_chunks(TWO_CHUNKS) == 2
    expected = theirs.state([part(0, 75), part(75)], clip_skip)
    assert expected["hidden"].shape[0] == 154
    for name, tensor in expected.items():
        assert_close(ours[name], tensor)


def test_a_comma_moves_the_cut(encoder, theirs):
    prompt = "a red line " * 20 + ", " + "an old style " * 10
    [ours] = encoder.encode([prompt], 1, 2)
    expected = theirs.state(["a red line " * 20 + ",", "an old style " * 10])
    assert_close(ours["hidden"], expected["hidden"])


def test_short_prompts_are_filled_up_with_the_empty_prompt(encoder, theirs):
    [ours] = encoder.encode(["a red line"], 1, 3)
    expected = theirs.state(["a red line", "", ""])
    assert_close(ours["hidden"], expected["hidden"])


def test_the_pooled_state_is_that_of_the_first_chunk(sdxl_base):
    encoder = open_base(str(sdxl_base)).load_text_encoder(CPU)
    [alone] = encoder.encode(["a red line"], 1)
    [among] = encoder.encode(["a red line BREAK an old style"], 1, 2)
    assert_close(among["pooled"], alone["pooled"])


def test_one_chunk_is_what_transformers_cuts_off(encoder, theirs):
    part = words(TWO_CHUNKS)
    assert_close(encoder.encode([TWO_CHUNKS], 1)[0]["hidden"], theirs.state([part(0, 75)])["hidden"])


def test_the_shapes_that_are_announced_are_those_of_the_states(folder, encoder):
    for num_chunks in (1, 3):
        [state] = encoder.encode([TWO_CHUNKS], 1, num_chunks)
        announced = open_base(str(folder)).text_shapes(num_chunks)
        assert {name: tuple(tensor.shape) for name, tensor in state.items()} == dict(announced)


def test_a_weight_multiplies_the_states_of_its_tokens_and_the_chunk_keeps_its_mean(encoder):
    for clip in clips(encoder):  # new layer norms leave a mean of zero, trained ones do not
        getattr(clip.model, "text_model", clip.model).final_layer_norm.bias.fill_(0.2)
    prompt = ((Words("a "), Words("red", 1.5), Words(" line")), (Words("an old style"),))
    [plain_state] = encoder.encode(["a red line BREAK an old style"], 1, 2)
    [weighted] = encoder.encode([prompt], 1, 2)
    factors = torch.ones(77)
    factors[2] = 1.5  # behind the start mark and "a"
    widths = [clip.model.config.hidden_size for clip in clips(encoder)]
    for before, after in zip(
        plain_state["hidden"].split(widths, dim=-1), weighted["hidden"].split(widths, dim=-1), strict=True
    ):
        expected = before[:77] * factors[:, None]
        assert_close(after[:77], expected * before[:77].mean() / expected.mean())
        assert torch.equal(after[77:], before[77:])
        assert (after - before).abs().max() > 0.01
        assert_close(after[:77].mean(), before[:77].mean())
    if "pooled" in weighted:
        assert torch.equal(weighted["pooled"], plain_state["pooled"])


def test_where_the_mean_is_zero_a_weight_multiplies_alone(tiny_base):
    encoder = open_base(str(tiny_base)).load_text_encoder(
        CPU
    )  # its last layer norm is new: every state has a mean of zero
    [before] = encoder.encode(["a red line"], 1)
    [after] = encoder.encode([((Words("a red line", 1.1),),)], 1)
    factors = torch.ones(77)
    factors[1:4] = 1.1
    assert_close(after["hidden"], before["hidden"] * factors[:, None])


def clips(encoder):
    return (encoder.first, encoder.second) if hasattr(encoder, "first") else (encoder.clip,)


def test_weights_of_one_change_nothing_to_the_bit(encoder):
    [weighted] = encoder.encode([((Words("a "), Words("red line", 1.0)),)], 1)
    assert torch.equal(weighted["hidden"], encoder.encode(["a red line"], 1)[0]["hidden"])

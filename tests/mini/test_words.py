import numpy as np
import pytest

from scumble.mini.architecture import read_tokenizer
from scumble.mini.captions import DIGIT_WORDS, CaptionShares, caption, random_caption
from scumble.mini.paint import INKS, PAPERS
from scumble.mini.tokenizer import WORDS, byte_characters, write_tokenizer


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokenizer")
    write_tokenizer(folder)
    return read_tokenizer(folder)


def test_a_caption_says_digit_ink_and_paper():
    assert caption(3, "red", "yellow") == "a handwritten three, red ink on yellow paper"
    assert caption(3, None, "yellow") == "a handwritten three on yellow paper"
    assert caption(3, "red", None) == "a handwritten three, red ink"
    assert caption(None, None, None) == ""


def test_a_tenth_of_the_captions_is_empty_and_many_name_the_digit_alone():
    random, shares = np.random.default_rng(0), CaptionShares()
    texts = [random_caption(3, "red", "yellow", random, shares) for _ in range(4000)]
    assert abs(texts.count("") / 4000 - shares.empty) < 0.02
    assert 0.25 < texts.count("a handwritten three") / 4000 < 0.45
    assert texts.count("a handwritten three, red ink on yellow paper") / 4000 > 0.3


def test_every_word_is_one_token(tokenizer):
    for word in (*WORDS, *DIGIT_WORDS, *INKS, *PAPERS):
        assert len(tokenizer(word).input_ids) == 3, word


@pytest.mark.parametrize("text", ["sks", "ümlaut", "漢字", "a\tb", "🦊!", "CAPITALS", "it's 99%"])
def test_any_prompt_tokenises_without_loss(tokenizer, text):
    ids = tokenizer(text).input_ids
    assert tokenizer.unk_token_id not in ids[1:-1]
    inside = tokenizer.convert_ids_to_tokens(ids[1:-1])
    places = {character: index for index, character in enumerate(byte_characters())}
    assert all(c in places for token in inside for c in token.replace("</w>", ""))


def test_prompts_are_padded_to_77_with_the_end_mark(tokenizer):
    ids = tokenizer("a handwritten nine", padding="max_length", max_length=tokenizer.model_max_length).input_ids
    assert len(ids) == 77
    assert ids[0] == tokenizer.bos_token_id
    assert set(ids[4:]) == {tokenizer.eos_token_id}


def test_256_bytes_have_256_characters():
    assert len(set(byte_characters())) == 256

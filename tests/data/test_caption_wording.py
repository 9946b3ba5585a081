"""What becomes of a model's words: forbidden ones go, trigger, prefix and suffix come."""

import pytest

from scumble.captioning.wording import Wording, without_words, worded


def sentence(text, **wording):
    return worded(text, Wording(**wording), gives_tags=False)


def tags(text, **wording):
    return worded(text, Wording(**wording), gives_tags=True)


def test_without_wishes_a_caption_stays_as_it_is_on_one_line():
    assert sentence("a dog ,  on\na Mat.") == "a dog , on a Mat."


def test_trigger_prefix_and_suffix_stand_in_this_order():
    wording = {"trigger": "sks dog", "prefix": "a drawing of", "suffix": "in ink"}
    assert sentence("a man", **wording) == "sks dog, a drawing of a man in ink"
    assert tags("1girl, hat", **wording) == "sks dog, a drawing of, 1girl, hat, in ink"


@pytest.mark.parametrize("suffix", [", high quality", ".", "; sketch"])
def test_a_suffix_that_begins_with_a_stop_follows_without_a_blank(suffix):
    assert sentence("a man", suffix=suffix) == f"a man{suffix}"


def test_commas_that_people_write_are_not_doubled():
    assert sentence("a man", trigger="sks dog, ") == "sks dog, a man"
    assert tags("hat", trigger="sks dog,", prefix="drawing, ", suffix=", ink") == "sks dog, drawing, hat, ink"


@pytest.mark.parametrize(
    ("text", "forbidden", "left"),
    [
        ("a red dog on a mat", ["red"], "a dog on a mat"),
        ("a Red dog and a red cat", ["red"], "a dog and a cat"),
        ("a redder dog", ["red"], "a redder dog"),
        ("an old dog", ["old"], "a dog"),
        ("a big orange", ["big"], "an orange"),
        ("A small elephant", ["small"], "An elephant"),
        ("a photo of a dog", ["photo"], "a dog"),
        ("a photo of a dog", ["a photo of"], "a dog"),
        ("a photo of a dog", ["photo", "photo of"], "a dog"),
        ("there is a dog", ["there is"], "a dog"),
        ("a dog with a watermark", ["watermark"], "a dog"),
        ("a dog with a watermark.", ["watermark"], "a dog."),
        ("a dog with a watermark, on a mat", ["watermark"], "a dog, on a mat"),
        ("a dog, a watermark, and a cat", ["watermark"], "a dog, and a cat"),
        ("a photo of a dog with a watermark", ["photo", "watermark"], "a dog"),
        ("c++ code in a book", ["c++"], "code in a book"),
        ("a dog. blurry. a cat", ["blurry"], "a dog. a cat"),
        ("a dog. a watermark. a cat", ["watermark"], "a dog. a cat"),
        ("красная собака на траве", ["красная"], "собака на траве"),
        ("a dog", ["cat"], "a dog"),
    ],
)
def test_forbidden_words_leave_a_whole_sentence(text, forbidden, left):
    assert without_words(text, tuple(forbidden)) == left


def test_only_what_lies_at_the_gap_is_touched():
    assert without_words("the the red dog , with a", ("cat",)) == "the the red dog , with a"


@pytest.mark.parametrize("text", ["watermark", "a watermark.", "the watermark and a Watermark", ""])
def test_nothing_is_left_of_a_sentence_of_forbidden_words(text):
    assert sentence(text, forbidden=("watermark",), trigger="sks", suffix="x") == ""


def test_forbidden_tags_are_dropped_whole_however_they_are_written():
    assert tags("1girl, long hair, Hair, o_o", forbidden=("long_hair", "HAIR")) == "1girl, o_o"
    assert tags("1girl", forbidden=("girl",)) == "1girl"
    assert tags("^_^", forbidden=()) == "^_^"
    assert tags("1girl", forbidden=("1girl",), trigger="sks") == ""

"""What is odd about captions is named; captions in any language, with tags or in sentences, are not."""

from pathlib import Path

import pytest

from scumble.data.caption_lint import are_tags, is_telling, lint_captions, normal_caption, odd_signs, tag_faults
from scumble.data.scan import Example


def example(name, *captions, source="sidecar", content=None):
    return Example(Path(name), captions, source, content or name, (64, 64))


def names(paths):
    return [path.name for path in paths]


@pytest.mark.parametrize(
    "text",
    [
        "",
        'a photo of sks dog, on grass; it\'s 2 m away & "happy" (really)',
        "une fillette à l'été, façade, œuvre, Ångström",
        "一只可爱的小猫，坐在“窗台”上",
        "猫のイラスト、かわいい",
        "милая собака – «друг»",
        "قطة صغيرة",
        "किताब क्षत्रिय",
        "a family 👨‍👩‍👧 and a flag 🏳️‍🌈",
        "می‌خواهم",
        "50 % off, €20, ½ litre, naïve café",
    ],
)
def test_ordinary_captions_of_any_language_are_not_odd(text):
    assert odd_signs(text) == []
    assert normal_caption(text) == text


@pytest.mark.parametrize(
    ("text", "found", "normal"),
    [
        ("a\u200bdog", ["U+200B zero width space"], "adog"),
        ("\ufeffa dog", ["U+FEFF zero width no-break space"], "a dog"),
        ("a dog\u202e", ["U+202E right-to-left override"], "a dog"),
        ("soft\u00adhyphen", ["U+00AD soft hyphen"], "softhyphen"),
        ("bell\x07", ["U+0007 control or unassigned"], "bell"),
        ("caf\ufffd", ["U+FFFD replacement character"], "caf\ufffd"),
        ("a \ue000 sign", ["U+E000 control or unassigned"], "a \ue000 sign"),
        ("a “nice” dog’s", ["typographic quotes “ ” ’"], "a “nice” dog’s"),
        ("do\u200dg", ["an invisible joiner between letters that need none"], "do\u200dg"),
        ("cafe\u0301", ["letters apart from their accents (not in the composed form, NFC)"], "café"),
        ("cafÃ©", ["'Ã©', which is 'é' read in a wrong encoding"], "cafÃ©"),
        ("ä½\xa0å¥½", ["'ä½\xa0å¥½', which is '你好' read in a wrong encoding"], "ä½ å¥½"),
        ("itâ€™s", ["'â€™', which is '’' read in a wrong encoding"], "itâ€™s"),
    ],
)
def test_signs_that_nobody_typed_are_named_and_what_is_invisible_goes(text, found, normal):
    assert odd_signs(text) == found
    assert normal_caption(text) == normal


def test_a_normal_caption_is_one_line():
    assert normal_caption("  a dog\r\n\ton   grass\u3000\n") == "a dog on grass"


def test_missing_empty_and_equal_captions_are_told_apart():
    found = lint_captions(
        [
            example("missing.png", source="none"),
            example("empty.png", ""),
            example("one.png", "a dog"),
            example("two.png", "a dog"),
            example("copy.png", "a cat", content="cat"),
            example("of the same bytes.png", "a cat", content="cat"),
            example("by trigger.png", "a photo of sks", source="trigger"),
            example("by trigger too.png", "a photo of sks", source="trigger"),
        ]
    )
    assert names(found.missing) == ["missing.png"]
    assert names(found.empty) == ["empty.png"]
    assert [(caption, names(paths)) for caption, paths in found.equal] == [("a dog", ["one.png", "two.png"])]
    assert found.sources == {"none": 1, "sidecar": 5, "trigger": 2}


def test_each_caption_of_a_picture_needs_the_trigger_in_any_case():
    found = lint_captions(
        [
            example("has.png", "A photo of SKS dog"),
            example("one of two has.png", "sks dog", "a dog"),
            example("has not.png", "a dog"),
        ],
        trigger="sks",
    )
    assert names(found.without_trigger) == ["one of two has.png", "has not.png"]
    assert lint_captions([example("a.png", "a dog")]).without_trigger == ()


def test_odd_captions_say_which_picture_and_why():
    (odd,) = lint_captions([example("a.png", "a dog"), example("b.png", "a\u200bdog")]).odd
    assert (odd.path.name, odd.text, odd.signs) == ("b.png", "a\u200bdog", ("U+200B zero width space",))


def test_tags_are_counted_once_a_picture_and_words_where_there_are_sentences():
    tags = lint_captions([example("a", "1girl, long hair, 1girl"), example("b", "1girl,smile ,")])
    assert tags.gives_tags
    assert tags.frequencies == (("1girl", 2), ("long hair", 1), ("smile", 1))
    words = lint_captions([example("a", "A dog's tail on a dog"), example("b", "a Cat")])
    assert not words.gives_tags
    assert words.frequencies == (("a", 2), ("cat", 1), ("dog", 1), ("dog's", 1), ("on", 1), ("tail", 1))


@pytest.mark.parametrize(
    ("captions", "answer"),
    [
        (["1girl, solo, long hair", "1boy, hat"], True),
        (["a dog that runs over the grass, happily", "a cat that sleeps on a chair, in the sun"], False),
        (["a photo of sks dog", "a photo of sks dog, smiling"], False),
        ([], False),
        (["", "a, b", "c, d"], True),
    ],
)
def test_lists_of_tags_are_told_from_sentences(captions, answer):
    assert are_tags(captions) is answer


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        ("1girl, long hair, smile", []),
        ("1girl, smile ,", []),
        ("1girl, , smile", ["an empty tag"]),
        (", 1girl, smile", ["an empty tag"]),
        ("1girl, smile, smile", ["'smile' twice"]),
        ("Smile, a, smile, b, SMILE", ["'Smile' 3 times"]),
        ("Long_hair, long hair,, smile", ["'Long_hair' twice", "an empty tag"]),
        ("^_^, ^-^", []),
        ("", []),
    ],
)
def test_tags_that_are_there_twice_or_empty_are_named(text, faults):
    assert tag_faults(text) == faults


def test_faults_of_tags_are_looked_for_where_captions_are_lists_of_tags():
    (odd,) = lint_captions([example("a", "1girl, smile, smile"), example("b", "1girl, hat")]).odd_tags
    assert (odd.path.name, odd.signs) == ("a", ("'smile' twice",))
    assert (
        lint_captions([example("a", "the dog that runs over the grass, and the dog that runs over the grass")]).odd_tags
        == ()
    )


def test_a_tag_in_several_spellings_is_named_the_most_frequent_first():
    found = lint_captions(
        [example("a", "long hair, Smile"), example("b", "long hair, smile"), example("c", "Long_hair, red hat")]
    )
    assert found.spellings == (("long hair", "Long_hair"),)


def test_words_that_tell_are_told_from_those_that_every_sentence_has():
    words = ["a", "of", "the", "2", "10", "x", "dog", "1girl", "花", "sks"]
    assert [word for word in words if is_telling(word)] == ["dog", "1girl", "花", "sks"]

import pytest

from scumble.compare.values import numbers, texts, whole_numbers
from scumble.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("20", [20]),
        ("1-5", [1, 2, 3, 4, 5]),
        ("1-10 (+2)", [1, 3, 5, 7, 9]),
        ("1-10(+3)", [1, 4, 7, 10]),
        ("10-1 (-3)", [10, 7, 4, 1]),
        ("1-10 [5]", [1, 3, 5, 7, 10]),  # 3.25, 5.5 and 7.75 are cut, as int() does there
        ("0-10 [3]", [0, 5, 10]),
        ("1, 2, 5-6, 9", [1, 2, 5, 6, 9]),
        ("-2-1", [-2, -1, 0, 1]),
        (" 7 ,8", [7, 8]),
    ],
)
def test_whole_numbers_are_listed_and_counted_as_the_webui_does(text, expected):
    assert whole_numbers(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0-1 [5]", [0, 0.25, 0.5, 0.75, 1]),
        ("0-1 [11]", [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1]),  # no 0.30000000000000004
        ("1-3", [1, 2, 3]),
        ("1-2 (+0.25)", [1, 1.25, 1.5, 1.75, 2]),
        ("0-1 (+0.4)", [0, 0.4, 0.8]),  # there 1.2 would follow, beyond the end
        ("-0.5-0.5 [3]", [-0.5, 0, 0.5]),
        (".5, 7.5", [0.5, 7.5]),
        ("1-0 [3]", [1, 0.5, 0]),
        ("0.7-0.7 [1]", [0.7]),
    ],
)
def test_numbers_are_listed_and_spaced_as_the_webui_does(text, expected):
    assert numbers(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a cat, a dog", ["a cat", "a dog"]),
        ('a cat, "red, white", x', ["a cat", "red, white", "x"]),
        ('"a ""big"" cat"', ['a "big" cat']),
        ("cat,", ["cat", ""]),
        ("one\ntwo, three", ["one", "two", "three"]),
        ("1-3", ["1-3"]),
    ],
)
def test_texts_are_separated_by_commas_outside_of_quotes(text, expected):
    assert texts(text) == expected


@pytest.mark.parametrize(
    ("read", "text", "said"),
    [
        (whole_numbers, "1.5", "must be whole numbers"),
        (whole_numbers, "ten", "must be a number or a range"),
        (whole_numbers, "1-10 (-1)", "never come from 1 to 10"),
        (whole_numbers, "1-10 (+0)", "never come from"),
        (whole_numbers, "1-2000", "2000 values"),
        (numbers, "0-1 [0]", "1 to 1000 values"),
        (numbers, "nan", "must be a finite number"),
        (numbers, "1;2", "must be a number or a range"),
    ],
)
def test_what_is_no_number_is_refused_in_words(read, text, said):
    with pytest.raises(ConfigError, match=said):
        read(text)

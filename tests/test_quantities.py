"""How many, how large, how long: in words."""

import pytest

from scumble.quantities import amount, counted, duration


def test_counted_takes_the_plural_and_groups_thousands():
    assert [counted(n, "picture") for n in (0, 1, 2, 12345)] == [
        "0 pictures",
        "1 picture",
        "2 pictures",
        "12,345 pictures",
    ]
    assert counted(2, "entry", "entries") == "2 entries"


@pytest.mark.parametrize(
    ("num_bytes", "words"),
    [
        (0, "0 bytes"), (1, "1 byte"), (999, "999 bytes"), (1000, "1.0 kB"), (999_949, "999.9 kB"), (999_950, "1.0 MB"),
        (12_345_678, "12.3 MB"), (999_949_999, "999.9 MB"), (999_950_000, "1.0 GB"), (1.5e12, "1,500.0 GB"),
    ],
)  # fmt: skip
def test_amount_takes_the_unit_that_keeps_numbers_short(num_bytes, words):
    assert amount(num_bytes) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s"), (89.4, "89 s"), (90, "2 min"), (7139, "119 min"), (7200, "2 h 00 min"), (11_100, "3 h 05 min")],
)
def test_duration_is_as_exact_as_a_glance_needs(seconds, words):
    assert duration(seconds) == words

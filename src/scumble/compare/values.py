"""Lists and ranges as the WebUI's X/Y/Z plot writes them.

A list is separated by commas; what holds a comma itself stands in double quotes. Among numbers a range may stand:
`1-5` counts by one, `1-10 (+3)` by three, `10-1 (-3)` down, `0-1 [5]` gives five evenly spaced. Other than there, both
ends of a range belong to it where the step meets them, and no value lies beyond the end; blanks before a quote are allowed.
"""

import csv
import re
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from io import StringIO

from scumble.errors import ConfigError

MOST_VALUES = 1000
"""A range with more is a slip of the pen."""

_NUMBER = r"([+-]?\s*\d*\.?\d+)"
_RANGE = re.compile(rf"{_NUMBER}\s*-\s*{_NUMBER}\s*(?:\(\s*{_NUMBER}\s*\)|\[\s*(\d+)\s*\])?")
_DIGITS = 8
"""Decimal places that evenly spaced numbers are rounded to, as the WebUI shows them."""


def texts(text: str) -> list[str]:
    """The values of a list, blanks at their ends taken off.

    >>> texts('a cat, "red, white", ')
    ['a cat', 'red, white', '']
    """
    return [value.strip() for line in csv.reader(StringIO(text), skipinitialspace=True) for value in line]


def numbers(text: str) -> list[float]:
    """The numbers of a list with ranges.

    >>> numbers("0-1 [5], 2")
    [0.0, 0.25, 0.5, 0.75, 1.0, 2.0]

    Raises:
        ConfigError: something that is neither a number nor a range.
    """
    return [float(round(number, _DIGITS)) for each in texts(text) for number in _read(each)]


def whole_numbers(text: str) -> list[int]:
    """The whole numbers of a list with ranges; evenly spaced ones are cut to whole ones, as the WebUI does.

    >>> whole_numbers("1-10 [5], 20-50 (+10)")
    [1, 3, 5, 7, 10, 20, 30, 40, 50]

    Raises:
        ConfigError: something that is neither a whole number nor a range of them.
    """
    found = []
    for each in texts(text):
        is_spaced = each.endswith("]")
        for number in _read(each):
            if number != int(number) and not is_spaced:
                raise ConfigError(f"'{each}': must be whole numbers")
            found.append(int(number))
    return found


def _read(text: str) -> Iterator[Decimal]:
    """A number, or the numbers of a range."""
    try:
        number = Decimal(text)
    except InvalidOperation:
        match = _RANGE.fullmatch(text)
        if match is None:
            raise ConfigError(f"'{text}': must be a number or a range, such as 20, 1-5, 1-10 (+3) or 0-1 [5]") from None
        first, last = _decimal(match[1]), _decimal(match[2])
        yield from _spaced(first, last, int(match[4])) if match[4] else _stepped(text, first, last, match[3])
        return
    if not number.is_finite():
        raise ConfigError(f"'{text}': must be a finite number")
    yield number


def _spaced(first: Decimal, last: Decimal, count: int) -> Iterator[Decimal]:
    if not 1 <= count <= MOST_VALUES:
        raise ConfigError(f"[{count}]: a range has 1 to {MOST_VALUES} values")
    for index in range(count):
        yield first + (last - first) * index / max(1, count - 1)


def _stepped(text: str, first: Decimal, last: Decimal, by: str | None) -> Iterator[Decimal]:
    step = _decimal(by) if by else Decimal(1)
    if step == 0 or (last - first) / step < 0:
        raise ConfigError(f"'{text}': steps of {step} never come from {first} to {last}")
    count = int((last - first) / step) + 1
    if count > MOST_VALUES:
        raise ConfigError(f"'{text}': {count} values; a range has at most {MOST_VALUES}")
    for index in range(count):
        yield first + index * step


def _decimal(text: str) -> Decimal:
    return Decimal("".join(text.split()))

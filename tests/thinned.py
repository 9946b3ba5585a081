"""Of many cases that are alike, a few run with every change; the rest are for the slow step."""

from collections.abc import Iterable

import pytest


def thinned(cases: Iterable[object], *fast: object) -> list[object]:
    """The values for `parametrize`, a tuple where it has several names: `fast` as they are, all others marked slow."""
    cases = list(cases)
    assert all(case in cases for case in fast), fast
    return [case if case in fast else pytest.param(*_values(case), marks=pytest.mark.slow) for case in cases]


def _values(case: object) -> tuple[object, ...]:
    return case if isinstance(case, tuple) else (case,)

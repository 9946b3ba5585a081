"""Sides that take turns: what slows the machine for a while meets all of them."""

import random
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

Take = Callable[[], float]


@dataclass(frozen=True)
class Spread:
    """A median with its quartiles."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        """For a table: 1.23 (1.20-1.27)."""
        return f"{in_digits(self.median)} ({in_digits(self.low)}-{in_digits(self.high)})"


def in_digits(value: float) -> str:
    """Three digits; of large numbers all before the point."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def spread(values: Sequence[float]) -> Spread:
    """Of at least one value."""
    if len(values) < 2:
        return Spread(values[0], values[0], values[0])
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return Spread(middle, low, high)


def in_turns(sides: Mapping[str, Take], rounds: int, warm_up: int = 0) -> dict[str, list[float]]:
    """What each side took in each round, each round in another order.

    Were only who begins to move on, each side would follow the same other one for ever, and pay for how that leaves memory.

    Args:
        sides: name -> one turn, which answers what it measured (seconds, say).
        rounds: that count.
        warm_up: rounds before, that do not.
    """
    taken: dict[str, list[float]] = {name: [] for name in sides}
    for number, order in zip(range(warm_up + rounds), _orders(list(sides)), strict=False):
        for name in order:
            value = sides[name]()
            if number >= warm_up:
                taken[name].append(value)
    return taken


def _orders(names: list[str]) -> Iterator[list[str]]:
    source = random.Random(0)
    while True:
        yield source.sample(names, len(names))


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> Spread:
    """Of the turns of one round each; under 1 where ours are smaller."""
    return spread([mine / other for mine, other in zip(ours, theirs, strict=True)])

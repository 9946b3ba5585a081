"""Which cell is next: all of a grid, or some of it by chance."""

import random
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from scumble.errors import ConfigError
from scumble.sweep.axes import Axis
from scumble.sweep.cells import grid

Values = Mapping[str, Any]
""" "section.setting" -> value of everything that cells differ in."""


class Choice(Protocol):
    """Names the cells of a sweep, one after the other.

    Attributes:
        total: how many there will be.
    """

    total: int

    def next(self) -> Values | None:
        """The next cell; None where there is no more."""
        ...

    def tell(self, values: Values, loss: float | None) -> None:
        """What a cell gave: its lowest validation loss; None = it failed."""
        ...


class Listed:
    """Cells that are known beforehand.

    Args:
        cells: in their order.
    """

    def __init__(self, cells: Sequence[Values]) -> None:
        self.total = len(cells)
        self.cells = list(cells)
        self._left = iter(self.cells)

    def next(self) -> Values | None:
        """See `Choice`."""
        return next(self._left, None)

    def tell(self, values: Values, loss: float | None) -> None:
        """See `Choice`; nothing follows from it."""


def listed(axes: Sequence[Axis], num_cells: int | None, seed: int) -> Listed:
    """All cells of a grid, or some of them by chance, in the grid's order.

    Args:
        axes: what the cells differ in.
        num_cells: how many by chance; None = all.
        seed: of the chance.
    Raises:
        ConfigError: more are asked for than there are.
    """
    cells = grid(axes)
    if num_cells is None:
        return Listed(cells)
    if num_cells > len(cells):
        raise ConfigError(f"num_cells={num_cells}: the grid has {len(cells)} cells; ask for fewer, or for the grid")
    chosen = sorted(random.Random(seed).sample(range(len(cells)), num_cells))
    return Listed([cells[index] for index in chosen])

"""How far an approximation is from what it stands for: the Frobenius norm over all layers.

error = sqrt(sum |approximation - exact|^2 / sum |exact|^2)
"""

import math
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Error:
    """A relative error.

    Attributes:
        relative: over all layers; 0 = exact to the bit.
        worst_layer: the layer with the largest relative error of its own, "" if none has any.
        worst: that error.
    """

    relative: float
    worst_layer: str
    worst: float


@dataclass
class ErrorSum:
    """Adds up the squares of layers."""

    squares: dict[str, tuple[float, float]] = field(default_factory=dict)

    def add(self, layer: str, difference_square: float, exact_square: float) -> None:
        """Take a layer in.

        Args:
            layer: its name.
            difference_square: |approximation - exact|^2.
            exact_square: |exact|^2.
        """
        self.squares[layer] = difference_square, exact_square

    def error(self) -> Error:
        """The error of all layers that were added."""
        each = {layer: _relative(*squares) for layer, squares in self.squares.items()}
        worst = max(each, key=lambda layer: each[layer], default="")
        difference, exact = (sum(squares[i] for squares in self.squares.values()) for i in (0, 1))
        if not each or each[worst] == 0:
            return Error(0.0, "", 0.0)
        return Error(_relative(difference, exact), worst, each[worst])


def _relative(difference: float, exact: float) -> float:
    if exact > 0:
        return math.sqrt(difference / exact)
    return 0.0 if difference == 0 else math.inf

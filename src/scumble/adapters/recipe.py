"""How a new adapter is to be made: what all algorithms share, and what some of them ask for."""

import math
from dataclasses import dataclass, field
from typing import Literal

from scumble.adapters.base import Axis, Dropout

Init = Literal["kaiming", "gaussian", "orthogonal", "pissa"]


@dataclass(frozen=True)
class AdapterRecipe:
    """One layer's adapter before it has numbers.

    Attributes:
        algorithm: the plug-in's name in the registry.
        rank: r, >= 1.
        alpha: the change is scaled by alpha / r, or by alpha / sqrt(r) if rank-stabilised.
        init: how the random factors start.
        is_rank_stabilised: rsLoRA (Kalajdzievski 2023, arXiv:2312.03732).
        dora: which lines of the weight get a magnitude of their own; None = no DoRA.
        factor: LoKr: size of the small factor; -1 = as near to a square split as can be.
        is_full_matrix: LoKr: the second factor is not split into two thin ones.
        is_split_twice: LoKr: the first factor is split too.
        dropout: what is left out while training.
    """

    algorithm: str = "lora"
    rank: int = 16
    alpha: float = 16.0
    init: Init = "kaiming"
    is_rank_stabilised: bool = False
    dora: Axis | None = None
    factor: int = -1
    is_full_matrix: bool = False
    is_split_twice: bool = False
    dropout: Dropout = field(default_factory=Dropout)

    @property
    def effective_alpha(self) -> float:
        """The alpha whose alpha / r is the true scale: what files hold."""
        return self.alpha * math.sqrt(self.rank) if self.is_rank_stabilised else self.alpha

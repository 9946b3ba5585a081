"""What an adapter is: a weight change of one frozen layer, written with few numbers.

Shapes: out and in are the frozen layer's, r is the rank, `...` any leading dimensions.
"""

from abc import abstractmethod
from typing import ClassVar

import torch
from torch import Tensor, nn


class Adapter(nn.Module):
    """The change of one layer's weight. Its parameters are float32 and are the only ones that train.

    Attributes:
        algorithm: the plug-in's name in the registry.
        rank: rank of the change, >= 1.
        alpha: the change is scaled by alpha / rank.
    """

    algorithm: ClassVar[str]
    rank: int
    alpha: float

    @property
    def scale(self) -> float:
        """alpha / rank."""
        return self.alpha / self.rank

    @abstractmethod
    def added_to(self, output: Tensor, x: Tensor, strength: float) -> Tensor:
        """The layer's output [..., out] with this change applied to its input x [..., in], in the output's dtype."""

    @abstractmethod
    def delta(self) -> Tensor:
        """The whole change at strength 1: [out, in], float32."""

    @abstractmethod
    def tensors(self) -> dict[str, Tensor]:
        """The numbers that make the change, by the names of the canonical LoRA file."""


def weight_of(layer: nn.Module) -> Tensor:
    """The frozen weight of a layer that can be adapted: [out, in]."""
    weight = layer.weight
    assert isinstance(weight, torch.Tensor)
    return weight

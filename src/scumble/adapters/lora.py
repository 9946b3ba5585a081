"""LoRA: the weight change as a product of two thin matrices (Hu et al. 2021, arXiv:2106.09685).

h = W x + (alpha / r) B A x        A: [r, in], "down"    B: [out, r], "up"
"""

import math
from collections.abc import Mapping
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from scumble.adapters.base import Adapter, weight_of
from scumble.errors import LoraFileError

Init = Literal["kaiming", "gaussian"]


class LoraAdapter(Adapter):
    """A LoRA of one linear layer.

    Args:
        down: A, float32 [r, in].
        up: B, float32 [out, r].
        alpha: the change is scaled by alpha / r.
    """

    algorithm: ClassVar[str] = "lora"

    def __init__(self, down: Tensor, up: Tensor, alpha: float) -> None:
        super().__init__()
        self.down = nn.Parameter(down)
        self.up = nn.Parameter(up)
        self.rank = down.shape[0]
        self.alpha = alpha

    def added_to(self, output: Tensor, x: Tensor, strength: float) -> Tensor:
        """One addmm adds the scaled change to the output: no kernel is spent on scaling."""
        thin = functional.linear(x, self.down.to(x.dtype))
        up = self.up.to(x.dtype)
        rows, thin_rows = output.reshape(-1, up.shape[0]), thin.reshape(-1, self.rank)
        return torch.addmm(rows, thin_rows, up.t(), alpha=strength * self.scale).view_as(output)

    def delta(self) -> Tensor:
        """(alpha / r) B A, [out, in]."""
        return self.scale * (self.up @ self.down)

    def tensors(self) -> dict[str, Tensor]:
        """A as "down" [r, in] and B as "up" [out, r]."""
        return {"down": self.down, "up": self.up}


def create(layer: nn.Module, rank: int, alpha: float, init: Init, generator: torch.Generator) -> LoraAdapter:
    """A LoRA that changes nothing yet: A is random, B is zero.

    Args:
        layer: the linear layer to adapt.
        rank: r, >= 1.
        alpha: the change is scaled by alpha / r.
        init: "kaiming" = uniform within 1/sqrt(in), as PEFT and kohya start; "gaussian" = deviation 0.01.
        generator: a CPU generator, source of A.
    """
    out_features, in_features = weight_of(layer).shape
    down = torch.empty(rank, in_features)
    if init == "kaiming":
        nn.init.kaiming_uniform_(down, a=math.sqrt(5), generator=generator)
    else:
        down.normal_(std=0.01, generator=generator)
    return LoraAdapter(down, torch.zeros(out_features, rank), alpha)


def from_tensors(layer: nn.Module, tensors: Mapping[str, Tensor], alpha: float, path: str) -> LoraAdapter:
    """A LoRA with given numbers, as `Adapter.tensors` names them.

    Raises:
        LoraFileError: the shapes do not fit each other or the layer.
    """
    down, up = tensors["down"].float(), tensors["up"].float()
    out_features, in_features = weight_of(layer).shape
    rank = down.shape[0]
    if down.shape != (rank, in_features) or up.shape != (out_features, rank):
        raise LoraFileError(
            f"{path}: found down {list(down.shape)} and up {list(up.shape)}, but the layer is "
            f"[{out_features}, {in_features}]: the LoRA was made for another base model"
        )
    return LoraAdapter(down.clone(), up.clone(), alpha)

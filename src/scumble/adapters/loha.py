"""LoHa: the weight change as a Hadamard product of two low-rank matrices (Hyeon-Woo et al. 2021, arXiv:2108.06098).

Delta W = (alpha / r) (W1a W1b) * (W2a W2b)        Wa: [out, r]    Wb: [r, in k k]

Files of others may have a third factor in each half of a convolution, "t1" and "t2" [r, r, k, k]; then Wa is [r, out]
and Wb is [r, in].
"""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from scumble.adapters.base import Adapter
from scumble.adapters.geometry import Geometry
from scumble.adapters.recipe import AdapterRecipe
from scumble.adapters.start import random_normal
from scumble.errors import LoraFileError

FACTORS = ("w1_a", "w1_b", "w2_a", "w2_b")
CORES = ("t1", "t2")


class LohaAdapter(Adapter):
    """A LoHa of one linear layer or convolution.

    Args:
        geometry: of the layer.
        factors: "w1_a", "w1_b", "w2_a", "w2_b", and maybe "t1" and "t2", float32; they become parameters of these names.
        rank: r.
        alpha: the change is scaled by alpha / r.
    """

    algorithm = "loha"
    starts_at_zero = "w2_a"

    def __init__(self, geometry: Geometry, factors: Mapping[str, Tensor], rank: int, alpha: float) -> None:
        super().__init__(geometry, rank, alpha)
        for name, factor in factors.items():
            self.register_parameter(name, nn.Parameter(factor))

    def change(self, x: Tensor) -> Tensor:
        """The change is built in the input's dtype, and applied as a weight."""
        return self._rows_kept(self.geometry.run(self._with_dropout(x), self.scale * self._product(x.dtype)))

    def delta(self) -> Tensor:
        """(alpha / r) (W1a W1b) * (W2a W2b) in the shape of the weight."""
        return self.scale * self._product(torch.float32)

    def _product(self, dtype: torch.dtype) -> Tensor:
        factors = {name: factor.to(dtype) for name, factor in self.named_parameters()}
        if "t1" in factors:
            return _tucker(factors, 1) * _tucker(factors, 2)
        product: Tensor = _Hadamard.apply(*(factors[name] for name in FACTORS))
        return product.view(self.geometry.shape)


class _Hadamard(torch.autograd.Function):
    """(A B) * (C D), keeping only the thin factors for the backward pass."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor, c: Tensor, d: Tensor) -> Tensor:
        ctx.save_for_backward(a, b, c, d)
        return (a @ b) * (c @ d)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        a, b, c, d = ctx.saved_tensors
        (gradient,) = gradients
        first = gradient * (c @ d)
        of_a, of_b = first @ b.t(), a.t() @ first
        del first
        second = gradient * (a @ b)
        return of_a, of_b, second @ d.t(), c.t() @ second


def _tucker(factors: Mapping[str, Tensor], half: int) -> Tensor:
    """[out, in, k, k] from a core [r, r, k, k], Wa [r, out] and Wb [r, in]."""
    return torch.einsum("rskl,ro,si->oikl", factors[f"t{half}"], factors[f"w{half}_a"], factors[f"w{half}_b"])


def shapes(geometry: Geometry, recipe: AdapterRecipe) -> dict[str, tuple[int, ...]]:
    """The parameters of a new LoHa, by name."""
    tall = (geometry.out_features, recipe.rank)
    wide = (recipe.rank, geometry.in_features * math.prod(geometry.kernel))
    return {"w1_a": tall, "w1_b": wide, "w2_a": tall, "w2_b": wide}


def create(layer: nn.Module, recipe: AdapterRecipe, generator: torch.Generator) -> LohaAdapter:
    """A LoHa that changes nothing yet: W2a is zero, the others start as in LyCORIS (0.1 and 1).

    Args:
        layer: the layer to adapt.
        recipe: rank and alpha.
        generator: a CPU generator, source of the other three.
    """
    geometry = Geometry.of(layer)
    wanted = shapes(geometry, recipe)
    factors = {
        "w1_a": random_normal(wanted["w1_a"], 0.1, generator),
        "w1_b": random_normal(wanted["w1_b"], 1.0, generator),
        "w2_a": torch.zeros(wanted["w2_a"]),
        "w2_b": random_normal(wanted["w2_b"], 1.0, generator),
    }
    return LohaAdapter(geometry, factors, recipe.rank, recipe.effective_alpha)


def from_tensors(layer: nn.Module, tensors: Mapping[str, Tensor], rank: int, alpha: float, path: str) -> LohaAdapter:
    """A LoHa with given numbers, as `Adapter.tensors` names them.

    Raises:
        LoraFileError: the shapes do not fit each other or the layer.
    """
    geometry = Geometry.of(layer)
    names = [*FACTORS, *(CORES if "t1" in tensors else ())]
    factors = {name: tensors[name].detach().float().clone() for name in names}
    wide = geometry.in_features * math.prod(geometry.kernel)
    expected: dict[str, tuple[int, ...]] = {}
    for half in (1, 2):
        if "t1" in factors:
            expected[f"t{half}"] = (rank, rank, *geometry.kernel)
            expected[f"w{half}_a"], expected[f"w{half}_b"] = (rank, geometry.out_features), (rank, geometry.in_features)
        else:
            expected[f"w{half}_a"], expected[f"w{half}_b"] = (geometry.out_features, rank), (rank, wide)
    if any(factors[name].shape != shape for name, shape in expected.items()):
        found = ", ".join(f"{name} {list(factor.shape)}" for name, factor in factors.items())
        raise LoraFileError(
            f"{path}: found {found}, but the layer is {list(geometry.shape)}: the LoHa was made for another base model"
        )
    return LohaAdapter(geometry, factors, rank, alpha)

"""LoKr: the weight change as a Kronecker product of a small and a large matrix (LyCORIS, Yeh et al. 2023,
arXiv:2309.14859; after KronA, Edalati et al. 2022, arXiv:2212.10650).

Delta W = s W1 (x) W2        W1: [a, c] or W1a W1b    W2: [b, d(, k, k)] or W2a W2b    out = a b, in = c d

s = alpha / r, or 1 where neither factor is split. The Kronecker product is never built to run it: each factor is
multiplied with its own axis of the input. Files of others may split W2 of a convolution in three, with a core "t2".
"""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from scumble.adapters.base import Adapter, Axis
from scumble.adapters.geometry import Geometry
from scumble.adapters.recipe import AdapterRecipe
from scumble.adapters.start import random_down
from scumble.errors import LoraFileError

FACTORS = ("w1", "w1_a", "w1_b", "w2", "w2_a", "w2_b", "t2")


class LokrAdapter(Adapter):
    """A LoKr of one linear layer or convolution.

    Args:
        geometry: of the layer.
        factors: "w1" or "w1_a" and "w1_b"; "w2" or "w2_a" and "w2_b" (and "t2"), float32; they become parameters of
            these names.
        rank: r, of the factors that are split.
        alpha: the change is scaled by alpha / r.
    """

    algorithm = "lokr"

    def __init__(self, geometry: Geometry, factors: Mapping[str, Tensor], rank: int, alpha: float) -> None:
        super().__init__(geometry, rank, alpha)
        for name, factor in factors.items():
            self.register_parameter(name, nn.Parameter(factor))
        self.starts_at_zero = "w2" if "w2" in factors else "w2_b"

    def change(self, x: Tensor) -> Tensor:
        """s (W1 (x) W2) x, factor by factor."""
        small, large = self.scale * self._small(x.dtype), self._large(x.dtype)
        x = self._with_dropout(x)
        if not self.geometry.is_conv:
            rows: Tensor = _Kronecker.apply(x, small, large)
            return self._rows_kept(rows)
        if not torch.is_grad_enabled():
            return self._rows_kept(self._conv(x, small, large))
        # what lies between the two factors is as large as the output: made again in the backward pass
        change: Tensor = checkpoint(self._conv, x, small, large, use_reentrant=False, preserve_rng_state=False)
        return self._rows_kept(change)

    def _conv(self, x: Tensor, small: Tensor, large: Tensor) -> Tensor:
        """[B, c d, H, W] -> [B, a b, H', W']: each of the c groups of channels goes through the large factor."""
        (a, c), (b, d) = small.shape, large.shape[:2]
        inner = self.geometry.run(x.reshape(x.shape[0] * c, d, *x.shape[2:]), large)  # [B c, b, H', W']
        mixed = torch.matmul(small, inner.reshape(x.shape[0], c, -1))
        return mixed.view(x.shape[0], a * b, *inner.shape[2:])

    def _small(self, dtype: torch.dtype) -> Tensor:
        """W1 [a, c]."""
        factors = self._factors(dtype)
        return factors["w1"] if "w1" in factors else factors["w1_a"] @ factors["w1_b"]

    def _large(self, dtype: torch.dtype) -> Tensor:
        """W2 [b, d(, k, k)]."""
        factors = self._factors(dtype)
        if "w2" in factors:
            return factors["w2"]
        if "t2" in factors:
            return torch.einsum("rtkl,rb,td->bdkl", factors["t2"], factors["w2_a"], factors["w2_b"])
        product = factors["w2_a"] @ factors["w2_b"]
        return product.view(product.shape[0], -1, *self.geometry.kernel)

    def _factors(self, dtype: torch.dtype) -> dict[str, Tensor]:
        return {name: factor.to(dtype) for name, factor in self.named_parameters()}

    def delta(self) -> Tensor:
        """s W1 (x) W2 in the shape of the weight."""
        small, large = self._small(torch.float32), self._large(torch.float32)
        ones = [1] * len(self.geometry.kernel)
        return self.scale * torch.kron(small.view(*small.shape, *ones), large.contiguous())

    def added_squares(self, weight: Tensor, axis: Axis) -> Tensor:
        """2 s <W, W1 (x) W2> + s^2 |W1|^2 |W2|^2 of each line, never the product; see `Adapter.added_squares`."""
        small, large = self._small(torch.float32), self._large(torch.float32)
        (a, c), (b, d) = small.shape, large.shape[:2]
        blocks, large = weight.reshape(a, b, c, d, -1), large.reshape(b, d, -1)
        if axis == "output":
            cross = (torch.einsum("abcdk,bdk->abc", blocks, large) * small[:, None]).sum(2)
            own = small.square().sum(1)[:, None] * large.square().sum((1, 2))
        else:
            cross = (torch.einsum("abcdk,bdk->acd", blocks, large) * small[..., None]).sum(0)
            own = small.square().sum(0)[:, None] * large.square().sum((0, 2))
        return (2 * self.scale * cross + self.scale**2 * own).flatten()


class _Kronecker(torch.autograd.Function):
    """(W1 (x) W2) x: [..., c d] -> [..., a b], the large factor along d, the small one along c.

    What lies between the two, [.., c, b], is as large as the output: it is made again in the backward pass.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, small: Tensor, large: Tensor) -> Tensor:
        ctx.save_for_backward(x, small, large)
        (a, c), (b, d) = small.shape, large.shape
        return torch.matmul(small, x.reshape(-1, c, d) @ large.t()).reshape(*x.shape[:-1], a * b)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor, Tensor]:
        x, small, large = ctx.saved_tensors
        (a, c), (b, d) = small.shape, large.shape
        parts = x.reshape(-1, c, d)
        gradient = gradients[0].reshape(-1, a, b)
        of_inner = torch.matmul(small.t(), gradient)  # [.., c, b]
        of_small = torch.matmul(gradient, (parts @ large.t()).transpose(1, 2)).sum(0)
        of_large = of_inner.reshape(-1, b).t() @ parts.reshape(-1, d)
        of_x = (of_inner @ large).reshape(x.shape) if ctx.needs_input_grad[0] else None
        return of_x, of_small, of_large


def split(size: int, factor: int) -> tuple[int, int]:
    """Two numbers whose product is `size`, the smaller first, as LyCORIS splits.

    Args:
        size: features or channels.
        factor: wanted size of one part where it divides `size`; otherwise the parts are as equal as they can be with the
            smaller at most `factor`; -1 = no bound.

    >>> split(512, -1), split(512, 4), split(360, 16), split(127, 8)
    ((16, 32), (4, 128), (12, 30), (1, 127))
    """
    if factor > 0 and size % factor == 0:
        return min(factor, size // factor), max(factor, size // factor)
    most = size if factor < 0 else factor
    parts = [small for small in range(1, math.isqrt(size) + 1) if size % small == 0 and small <= most]
    small = min(parts, key=lambda part: (part + size // part, part))
    return small, size // small


def shapes(geometry: Geometry, recipe: AdapterRecipe) -> dict[str, tuple[int, ...]]:
    """The parameters of a new LoKr, by name.

    A factor is split in two thin ones only where that makes it smaller, as in LyCORIS: where the rank is under half of
    its larger side.
    """
    rank = recipe.rank
    (a, b), (c, d) = split(geometry.out_features, recipe.factor), split(geometry.in_features, recipe.factor)
    found: dict[str, tuple[int, ...]] = {}
    if recipe.is_split_twice and not recipe.is_full_matrix and rank < max(a, c) / 2:
        found |= {"w1_a": (a, rank), "w1_b": (rank, c)}
    else:
        found["w1"] = (a, c)
    if recipe.is_full_matrix or rank >= max(b, d) / 2:
        found["w2"] = (b, d, *geometry.kernel)
    else:
        found |= {"w2_a": (b, rank), "w2_b": (rank, d * math.prod(geometry.kernel))}
    return found


def create(layer: nn.Module, recipe: AdapterRecipe, generator: torch.Generator) -> LokrAdapter:
    """A LoKr that changes nothing yet: W2 or W2b is zero, the others start as Kaiming has it.

    Args:
        layer: the layer to adapt.
        recipe: rank, alpha, factor, is_full_matrix, is_split_twice.
        generator: a CPU generator.
    """
    geometry = Geometry.of(layer)
    wanted = shapes(geometry, recipe)
    factors = {
        name: torch.zeros(shape) if name in {"w2", "w2_b"} else random_down(shape, "kaiming", generator)
        for name, shape in wanted.items()
    }
    is_split = "w1" not in factors or "w2" not in factors
    return LokrAdapter(geometry, factors, recipe.rank, recipe.effective_alpha if is_split else float(recipe.rank))


def from_tensors(layer: nn.Module, tensors: Mapping[str, Tensor], rank: int, alpha: float, path: str) -> LokrAdapter:
    """A LoKr with given numbers, as `Adapter.tensors` names them.

    Raises:
        LoraFileError: the shapes do not fit each other or the layer.
    """
    geometry = Geometry.of(layer)
    factors = {name: tensors[name].detach().float().clone() for name in FACTORS if name in tensors}
    small = factors["w1"].shape if "w1" in factors else (factors["w1_a"].shape[0], factors["w1_b"].shape[1])
    if "w2" in factors:
        large: tuple[int, ...] = tuple(factors["w2"].shape)
    elif "t2" in factors:
        large = (factors["w2_a"].shape[1], factors["w2_b"].shape[1], *factors["t2"].shape[2:])
    else:
        area = math.prod(geometry.kernel)
        large = (factors["w2_a"].shape[0], factors["w2_b"].shape[1] // area, *geometry.kernel)
    product = tuple(one * other for one, other in zip((*small, *[1] * len(geometry.kernel)), large, strict=False))
    if product != geometry.shape or len(large) != len(geometry.shape) or not _chained(factors):
        found = ", ".join(f"{name} {list(factor.shape)}" for name, factor in factors.items())
        raise LoraFileError(
            f"{path}: found {found}, but the layer is {list(geometry.shape)}: the LoKr was made for another base model"
        )
    return LokrAdapter(geometry, factors, rank, alpha)


def _chained(factors: Mapping[str, Tensor]) -> bool:
    """Whether the inner sizes of split factors agree."""
    first = "w1_a" not in factors or factors["w1_a"].shape[1] == factors["w1_b"].shape[0]
    if "t2" in factors:
        core = factors["t2"].shape
        return first and core[0] == factors["w2_a"].shape[0] and core[1] == factors["w2_b"].shape[0]
    return first and ("w2_a" not in factors or factors["w2_a"].shape[1] == factors["w2_b"].shape[0])

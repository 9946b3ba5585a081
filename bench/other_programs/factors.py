"""Random numbers of a layer's change by algorithm, under kohya's and LyCORIS's tensor names.

Shapes: the weight is [out, in] or [out, in, k, k]; r is the rank. Sizes of about 0.3, so that half precision holds them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import torch
from torch import Generator, Tensor

SIZE = 0.3
Sides = dict[str, Tensor]
Make = Callable[[Tensor, int, float, Generator], Sides]
"""(weight, rank, alpha, generator) -> the layer's tensors."""


def _normal(generator: Generator, *shape: int) -> Tensor:
    return torch.randn(shape, generator=generator) * SIZE


def plain(weight: Tensor, rank: int, alpha: float, generator: Generator) -> Sides:
    """lora_down [r, in(, k, k)] and lora_up [out, r(, 1, 1)]."""
    out, into, *kernel = weight.shape
    return {
        "lora_down.weight": _normal(generator, rank, into, *kernel),
        "lora_up.weight": _normal(generator, out, rank, *[1] * len(kernel)),
        "alpha": torch.tensor(alpha),
    }


def tucker(weight: Tensor, rank: int, alpha: float, generator: Generator) -> Sides:
    """lora_mid [r, r, k, k] between two factors without a kernel; a plain LoRA where the layer has no kernel."""
    if weight.ndim == 2 or weight.shape[2] == 1:
        return plain(weight, rank, alpha, generator)
    out, into, *kernel = weight.shape
    return {
        "lora_down.weight": _normal(generator, rank, into, 1, 1),
        "lora_mid.weight": _normal(generator, rank, rank, *kernel),
        "lora_up.weight": _normal(generator, out, rank, 1, 1),
        "alpha": torch.tensor(alpha),
    }


def loha(weight: Tensor, rank: int, alpha: float, generator: Generator, has_core: bool = False) -> Sides:
    """hada_w1_a [out, r], hada_w1_b [r, in k k] and the second pair; with cores a is [r, out] and b is [r, in]."""
    out, into, *kernel = weight.shape
    if has_core and kernel and kernel[0] > 1:
        factors = {"a": (rank, out), "b": (rank, into)}
        cores = {f"hada_t{i}": _normal(generator, rank, rank, *kernel) for i in (1, 2)}
    else:
        factors = {"a": (out, rank), "b": (rank, weight[0].numel())}
        cores = {}
    halves = {f"hada_w{i}_{side}": _normal(generator, *shape) for i in (1, 2) for side, shape in factors.items()}
    return {**halves, **cores, "alpha": torch.tensor(alpha)}


def split(size: int, most: int) -> tuple[int, int]:
    """The two factors of a size that are nearest each other, the small one first and not over a limit."""
    small = next(factor for factor in range(min(int(size**0.5), most), 0, -1) if size % factor == 0)
    return small, size // small


def lokr(
    weight: Tensor,
    rank: int,
    alpha: float,
    generator: Generator,
    *,
    w1: str = "whole",
    w2: str = "split",
    most: int = 1000,
) -> Sides:
    """w1 [a, c] and w2 [b, d(, k, k)], each whole or split in two, w2 also with a core; out = a b, in = c d.

    Args:
        weight: [out, in(, k, k)].
        rank, alpha: of what is split.
        generator: of the numbers.
        w1: "whole" or "split".
        w2: "whole", "split" or, of convolutions, with a "core".
        most: the largest a and c.
    """
    out, into, *kernel = weight.shape
    (a, b), (c, d) = split(out, most), split(into, most)
    area = kernel[0] * kernel[1] if kernel else 1
    small: Mapping[str, dict[str, tuple[int, ...]]] = {
        "whole": {"lokr_w1": (a, c)},
        "split": {"lokr_w1_a": (a, rank), "lokr_w1_b": (rank, c)},
    }
    large: Mapping[str, dict[str, tuple[int, ...]]] = {
        "whole": {"lokr_w2": (b, d, *kernel)},
        "split": {"lokr_w2_a": (b, rank), "lokr_w2_b": (rank, d * area)},
        "core": {"lokr_t2": (rank, rank, *kernel), "lokr_w2_a": (rank, b), "lokr_w2_b": (rank, d)},
    }
    shapes = small[w1] | large["split" if w2 == "core" and area == 1 else w2]
    return {
        **{name: _normal(generator, *shape) for name, shape in shapes.items()},
        "alpha": torch.tensor(alpha),
    }


def with_lengths(make: Make, axis: str) -> Make:
    """DoRA: dora_scale [out, 1(, 1, 1)] for axis "output", [1, in(, 1, 1)] for "input"."""

    def made(weight: Tensor, rank: int, alpha: float, generator: Generator) -> Sides:
        kept = 0 if axis == "output" else 1
        others = [dim for dim in range(weight.ndim) if dim != kept]
        norms = weight.square().sum(dim=others, keepdim=True).sqrt()
        lengths = norms * (0.5 + torch.rand(norms.shape, generator=generator))
        return {**make(weight, rank, alpha, generator), "dora_scale": lengths}

    return made


def without_alpha(make: Make) -> Make:
    """The same without its alpha."""

    def made(weight: Tensor, rank: int, alpha: float, generator: Generator) -> Sides:
        sides = make(weight, rank, alpha, generator)
        return {name: tensor for name, tensor in sides.items() if name != "alpha"}

    return made


loha_tucker: Make = partial(loha, has_core=True)


@dataclass(frozen=True)
class Change:
    """How the layers of a file are made.

    Attributes:
        make: the algorithm, or several.
        ranks, alphas: of the layers. All three are taken in turn.
    """

    make: Make | tuple[Make, ...] = plain
    ranks: tuple[int, ...] = (4,)
    alphas: tuple[float, ...] = (3.0,)

    def of(self, weight: Tensor, index: int, seed: int) -> Sides:
        """The tensors of the layer with this number."""
        rank, alpha = self.ranks[index % len(self.ranks)], self.alphas[index % len(self.alphas)]
        makes = self.make if isinstance(self.make, tuple) else (self.make,)
        return makes[index % len(makes)](weight, rank, alpha, torch.Generator().manual_seed(1000 * seed + index))

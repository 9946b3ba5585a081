"""The published formulas: what the tensors of a layer change, built whole and in float32."""

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from scumble.errors import LoraFileError

Sides = Mapping[str, Tensor]
"""A layer's tensors by kohya's names; the lengths of a DoRA also by PEFT's."""

PEFT_LENGTHS = "lora_magnitude_vector"
LENGTHS = ("dora_scale", PEFT_LENGTHS, f"{PEFT_LENGTHS}.weight")


def change_by_formula(sides: Sides, weight: Tensor, scale: float = 1.0) -> Tensor:
    """The change of a layer, in the shape of its weight, float32.

    Args:
        sides: the layer's tensors, float32.
        weight: of the base, float32; it takes part in DoRA.
        scale: on the change, beside that of an alpha among the tensors.
    Raises:
        LoraFileError: the tensors belong to no algorithm.
    """
    build = next((build for sign, build in FORMULAS.items() if any(name.startswith(sign) for name in sides)), None)
    if build is None:
        raise LoraFileError(f"found {', '.join(sorted(sides))}: no algorithm has these tensors")
    change = scale * build(sides, weight)
    lengths = _lengths(sides)
    if lengths is None:
        return change
    # in float64: a small difference of large numbers
    return (_with_lengths(weight.double() + change, lengths.double()) - weight).float()


def _lengths(sides: Sides) -> Tensor | None:
    """PEFT's are those of rows, [1, out, 1, 1] where the layer is a convolution: elsewhere that means input channels."""
    found = next(((name, sides[name]) for name in LENGTHS if name in sides), None)
    if found is None:
        return None
    name, lengths = found
    return lengths.flatten() if name.startswith(PEFT_LENGTHS) else lengths


def _scale(sides: Sides, rank: int) -> float:
    return float(sides["alpha"]) / rank if "alpha" in sides else 1.0


def _lora(sides: Sides, weight: Tensor) -> Tensor:
    down, up = sides["lora_down.weight"], sides["lora_up.weight"]
    return _scale(sides, down.shape[0]) * (up.flatten(1) @ down.flatten(1)).reshape(weight.shape)


def _loha(sides: Sides, weight: Tensor) -> Tensor:
    first = sides["hada_w1_a"] @ sides["hada_w1_b"]
    second = sides["hada_w2_a"] @ sides["hada_w2_b"]
    return _scale(sides, sides["hada_w1_b"].shape[0]) * (first * second).reshape(weight.shape)


def _lokr(sides: Sides, weight: Tensor) -> Tensor:
    small = sides["lokr_w1"] if "lokr_w1" in sides else sides["lokr_w1_a"] @ sides["lokr_w1_b"]
    large = sides["lokr_w2"] if "lokr_w2" in sides else sides["lokr_w2_a"] @ sides["lokr_w2_b"]
    thin = sides.get("lokr_w2_b", sides.get("lokr_w1_b"))
    scale = 1.0 if thin is None else _scale(sides, thin.shape[0])
    large = large.reshape(large.shape[0], -1)
    area = math.prod(weight.shape[2:])
    # out = a b and in k k = c d k k: the kernel's places stay innermost
    product = torch.einsum("ac,bdk->abcdk", small, large.view(large.shape[0], -1, area))
    return scale * product.reshape(weight.shape)


FORMULAS: Mapping[str, Callable[[Sides, Tensor], Tensor]] = {"lora_": _lora, "hada_": _loha, "lokr_": _lokr}
"""How an algorithm's tensors begin -> the change they make."""


def _with_lengths(changed: Tensor, lengths: Tensor) -> Tensor:
    """Rows, or input channels where the lengths lie so, stretched or shrunk to the given lengths."""
    by_input = lengths.ndim > 1 and lengths.shape[0] == 1 and lengths.shape[1] == changed.shape[1]
    kept = 1 if by_input else 0
    others = [dim for dim in range(changed.ndim) if dim != kept]
    norms = changed.square().sum(dim=others, keepdim=True).sqrt()
    return changed / norms * lengths.reshape(norms.shape)

"""The change that a layer's tensors mean, by the published formulas, in float64."""

from collections.abc import Mapping

import torch
from torch import Tensor

Sides = Mapping[str, Tensor]


def exact_change(sides: Sides, weight: Tensor) -> Tensor:
    """What is added to a layer's weight.

    Args:
        sides: the layer's tensors by kohya's and LyCORIS's names; without alpha the scale is 1.
        weight: [out, in] or [out, in, k, k].
    Returns:
        The change in the shape of the weight, float64.
    """
    sides = {name: tensor.double() for name, tensor in sides.items()}
    whole = weight.double()
    if "lora_down.weight" in sides:
        change = _lora(sides)
    elif "hada_w1_a" in sides:
        change = _loha(sides)
    else:
        change = _lokr(sides, whole.shape)
    change = change.reshape(whole.shape)
    if "dora_scale" not in sides:
        return change
    lengths, changed = sides["dora_scale"], whole + change
    others = [dim for dim in range(changed.ndim) if lengths.shape[dim] == 1]
    return lengths * changed / changed.square().sum(dim=others, keepdim=True).sqrt() - whole


def _scale(sides: Sides, rank: int) -> float:
    return sides["alpha"].item() / rank if "alpha" in sides else 1.0


def _lora(sides: Sides) -> Tensor:
    down, up = sides["lora_down.weight"], sides["lora_up.weight"].flatten(1)
    if "lora_mid.weight" in sides:
        product = torch.einsum("or,rskl,si->oikl", up, sides["lora_mid.weight"], down.flatten(1))
    else:
        product = up @ down.flatten(1)
    return _scale(sides, down.shape[0]) * product


def _loha(sides: Sides) -> Tensor:
    halves = []
    for i in (1, 2):
        a, b = sides[f"hada_w{i}_a"], sides[f"hada_w{i}_b"]
        core = sides.get(f"hada_t{i}")
        halves.append(a @ b if core is None else torch.einsum("rskl,ro,si->oikl", core, a, b))
    return _scale(sides, sides["hada_w1_b"].shape[0]) * halves[0] * halves[1]


def _lokr(sides: Sides, shape: torch.Size) -> Tensor:
    small = sides["lokr_w1"] if "lokr_w1" in sides else sides["lokr_w1_a"] @ sides["lokr_w1_b"]
    if "lokr_w2" in sides:
        large = sides["lokr_w2"]
    elif "lokr_t2" in sides:
        large = torch.einsum("rskl,rb,sd->bdkl", sides["lokr_t2"], sides["lokr_w2_a"], sides["lokr_w2_b"])
    else:
        large = sides["lokr_w2_a"] @ sides["lokr_w2_b"]
    split = sides.get("lokr_w2_b", sides.get("lokr_w1_b"))
    scale = 1.0 if split is None else _scale(sides, split.shape[0])
    blocks = large.reshape(shape[0] // small.shape[0], shape[1] // small.shape[1], -1)
    return scale * torch.einsum("ac,bdk->abcdk", small, blocks)

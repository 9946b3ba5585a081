"""A LoRA file read by the published formulas alone: the second opinion on algorithms that diffusers does not read.

It shares nothing with the code that writes files: names are found in the base's own modules, and every weight change is
built whole.
"""

import math
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from scumble.errors import LoraFileError

Sides = Mapping[str, Tensor]
KOHYA_PREFIX, DIFFUSERS_PREFIX = "lora_unet_", "unet."
LENGTHS = ("dora_scale", "lora_magnitude_vector", "lora_magnitude_vector.weight")
RENAMED = {"lora_A.weight": "lora_down.weight", "lora_B.weight": "lora_up.weight"}


def needs_formulas(path: Path) -> bool:
    """Whether a file holds more than plain LoRA."""
    return any(_tensor_name(key).startswith(("hada_", "lokr_", *LENGTHS)) for key in load_file(path))


@torch.no_grad()
def read_by_formula(path: Path, denoiser: nn.Module) -> dict[str, Tensor]:
    """The weight change of every denoiser layer in a file with kohya's or diffusers' names.

    Args:
        path: a .safetensors file.
        denoiser: the base; its weights take part in DoRA.
    Returns:
        Dotted path of a layer -> change in the shape of its weight, float32, on the CPU.
    Raises:
        LoraFileError: a tensor belongs to no layer, or to no algorithm.
    """
    weights = {name: module.weight for name, module in denoiser.named_modules() if hasattr(module, "weight")}
    places = {KOHYA_PREFIX + name.replace(".", "_"): name for name in weights}
    places |= {DIFFUSERS_PREFIX + name: name for name in weights}
    layers: dict[str, dict[str, Tensor]] = {}
    for key, tensor in load_file(path).items():
        name = _tensor_name(key)
        place = places.get(key.removesuffix("." + name))
        if place is None:
            if key.startswith((KOHYA_PREFIX, DIFFUSERS_PREFIX)):
                raise LoraFileError(f"{path}: {key} belongs to no layer of the base")
            continue
        layers.setdefault(place, {})[RENAMED.get(name, name)] = tensor.float()
    return {place: _change(sides, weights[place].detach().float().cpu()) for place, sides in layers.items()}


def _tensor_name(key: str) -> str:
    """What follows the layer's name: "lora_down.weight", "hada_w1_a", "alpha"."""
    parts = key.split(".")
    return ".".join(parts[-2:] if parts[-1] == "weight" else parts[-1:])


def _change(sides: Sides, weight: Tensor) -> Tensor:
    build = next((build for sign, build in FORMULAS.items() if any(name.startswith(sign) for name in sides)), None)
    if build is None:
        raise LoraFileError(f"found {', '.join(sorted(sides))}: no algorithm has these tensors")
    change = build(sides, weight)
    lengths = next((sides[name] for name in LENGTHS if name in sides), None)
    if lengths is None:
        return change
    # in float64: a small difference of large numbers
    return (_with_lengths(weight.double() + change, lengths.double()) - weight).float()


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

"""A LoRA file read by the published formulas alone: the second opinion on algorithms that diffusers does not read.

It shares nothing with the code that writes files but the table of Stability's layer names: names are found among the
base's own layers, and every weight change is built whole.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from scumble.adapters.weight import weight_of
from scumble.errors import LoraFileError
from scumble.files.sgm import sgm_path

Sides = Mapping[str, Tensor]
KOHYA_PREFIXES = {
    "unet": ("lora_unet_",),
    "text_encoder": ("lora_te_", "lora_te1_"),
    "text_encoder_2": ("lora_te2_",),
}
PLAIN_UP_BLOCKS = (0, 1, 2, 3)
LENGTHS = ("dora_scale", "lora_magnitude_vector", "lora_magnitude_vector.weight")
RENAMED = {"lora_A.weight": "lora_down.weight", "lora_B.weight": "lora_up.weight"}


def needs_formulas(path: Path) -> bool:
    """Whether a file holds more than plain LoRA."""
    return any(_tensor_name(key).startswith(("hada_", "lokr_", *LENGTHS)) for key in load_file(path))


@torch.no_grad()
def read_by_formula(path: Path, layers: Mapping[str, nn.Module]) -> dict[str, Tensor]:
    """The weight change of every layer in a file with kohya's or diffusers' names.

    Args:
        path: a .safetensors file.
        layers: canonical key -> layer of the base; its weight takes part in DoRA.
    Returns:
        Canonical key -> change in the shape of the weight, float32, on the CPU.
    Raises:
        LoraFileError: a tensor belongs to no layer, or to no algorithm.
    """
    places = {name: key for key in layers for name in _names(key)}
    found: dict[str, dict[str, Tensor]] = {}
    for key, tensor in load_file(path).items():
        name = _tensor_name(key)
        place = places.get(key.removesuffix("." + name))
        if place is None:
            raise LoraFileError(f"{path}: {key} belongs to no layer of the base")
        found.setdefault(place, {})[RENAMED.get(name, name)] = tensor.float()
    return {key: _change(sides, weight_of(layers[key]).detach().float().cpu()) for key, sides in found.items()}


def _names(key: str) -> Iterator[str]:
    """How files name a layer: diffusers' key, kohya's in diffusers' names and, of the denoiser, in SGM's."""
    yield key
    part, _, path = key.partition(".")
    for spelling in (path, *([sgm_path(path), sgm_path(path, PLAIN_UP_BLOCKS)] if part == "unet" else [])):
        if spelling is not None:
            yield from (prefix + spelling.replace(".", "_") for prefix in KOHYA_PREFIXES[part])


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

"""A LoRA file read by the published formulas alone: the second opinion on algorithms that diffusers does not read.

It shares nothing with the code that writes files but the table of Stability's layer names: names are found among the
base's own layers, and every weight change is built whole.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from scumble.adapters.weight import weight_of
from scumble.edit.formulas import LENGTHS, change_by_formula
from scumble.edit.independent_words import layers_in
from scumble.edit.peft_by_formula import read_peft_by_formula
from scumble.errors import LoraFileError
from scumble.files.sgm import sgm_path

KOHYA_PREFIXES = {
    "unet": ("lora_unet_",),
    "text_encoder": ("lora_te_", "lora_te1_"),
    "text_encoder_2": ("lora_te2_",),
}
PLAIN_UP_BLOCKS = (0, 1, 2, 3)
RENAMED = {"lora_A.weight": "lora_down.weight", "lora_B.weight": "lora_up.weight"}


def needs_formulas(path: Path) -> bool:
    """Whether diffusers' reader does not do: a file that holds more than plain LoRA, or a PEFT folder."""
    return path.is_dir() or any(_tensor_name(key).startswith(("hada_", "lokr_", *LENGTHS)) for key in layers_in(path))


@torch.no_grad()
def read_by_formula(path: Path, layers: Mapping[str, nn.Module]) -> dict[str, Tensor]:
    """The weight change of every layer in a file with kohya's or diffusers' names, or in a PEFT folder.

    Args:
        path: a .safetensors file, or a PEFT folder.
        layers: canonical key -> layer of the base; its weight takes part in DoRA.
    Returns:
        Canonical key -> change in the shape of the weight, float32, on the CPU.
    Raises:
        LoraFileError: a tensor belongs to no layer, or to no algorithm.
    """
    if path.is_dir():
        return read_peft_by_formula(path, layers)
    places = {name: key for key in layers for name in _names(key)}
    found: dict[str, dict[str, Tensor]] = {}
    for key, tensor in layers_in(path).items():
        name = _tensor_name(key)
        place = places.get(key.removesuffix("." + name))
        if place is None:
            raise LoraFileError(f"{path}: {key} belongs to no layer of the base")
        found.setdefault(place, {})[RENAMED.get(name, name)] = tensor.float()
    return {
        key: change_by_formula(sides, weight_of(layers[key]).detach().float().cpu()) for key, sides in found.items()
    }


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

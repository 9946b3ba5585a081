"""A PEFT folder read by the published formulas alone: PEFT's settings and tensors, without the code that writes them."""

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from scumble.adapters.weight import weight_of
from scumble.edit.formulas import PEFT_LENGTHS, change_by_formula
from scumble.errors import LoraFileError

PARTS = ("unet", "text_encoder", "text_encoder_2")
BEGIN = "base_model.model."
RENAMED = {
    "lora_A.weight": "lora_down.weight",
    "lora_B.weight": "lora_up.weight",
    f"{PEFT_LENGTHS}.weight": PEFT_LENGTHS,
}
ALPHAS = {"LORA": "lora_alpha", "LOHA": "alpha", "LOKR": "alpha"}
"""PEFT's kinds of adapter -> the setting that holds their alpha."""


@torch.no_grad()
def read_peft_by_formula(path: Path, layers: Mapping[str, nn.Module]) -> dict[str, Tensor]:
    """The weight change of every layer in a PEFT folder, or in the folders of several model parts.

    Args:
        path: the folder.
        layers: canonical key -> layer of the base; its weight takes part in DoRA.
    Returns:
        Canonical key -> change in the shape of the weight, float32, on the CPU.
    Raises:
        LoraFileError: a tensor belongs to no layer or several, or the settings are of another kind.
    """
    parts = {part: path / part for part in PARTS if (path / part).is_dir()}
    changes: dict[str, Tensor] = {}
    for part, folder in parts.items():
        changes |= _read_part(folder, {key: layer for key, layer in layers.items() if key.startswith(f"{part}.")})
    return changes or _read_part(path, layers)


def _read_part(folder: Path, layers: Mapping[str, nn.Module]) -> dict[str, Tensor]:
    settings = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
    if settings.get("peft_type") not in ALPHAS:
        raise LoraFileError(f"{folder}: found peft_type {settings.get('peft_type')}, expected {' or '.join(ALPHAS)}")
    found: dict[str, dict[str, Tensor]] = {}
    for name, tensor in load_file(folder / "adapter_model.safetensors").items():
        place, _, side = name.removeprefix(BEGIN).rpartition(".")
        if side == "weight":
            place, _, side = place.rpartition(".")
            side += ".weight"
        found.setdefault(place, {})[RENAMED.get(side, side)] = tensor.float()
    changes = {}
    for place, sides in found.items():
        key = _key(folder, place, layers)
        weight = weight_of(layers[key]).detach().float().cpu()
        changes[key] = change_by_formula(sides, weight, _scale(settings, place))
    return changes


def _key(folder: Path, place: str, layers: Mapping[str, nn.Module]) -> str:
    """The layer that PEFT means: newer text encoders have no `text_model` in their modules' names."""
    keys = [
        key for key in layers if key.partition(".")[2].removeprefix("text_model.") == place.removeprefix("text_model.")
    ]
    if len(keys) != 1:
        raise LoraFileError(f"{folder}: {place} belongs to {' and '.join(keys) or 'no layer of the base'}")
    return keys[0]


def _scale(settings: Mapping[str, Any], place: str) -> float:
    alpha = _of_layer(settings.get("alpha_pattern"), place, settings[ALPHAS[settings["peft_type"]]])
    rank = _of_layer(settings.get("rank_pattern"), place, settings["r"])
    return alpha / math.sqrt(rank) if settings.get("use_rslora") else alpha / rank


def _of_layer(patterns: Mapping[str, float] | None, place: str, usual: float) -> float:
    """As PEFT chooses: by the first pattern that is the layer's name or ends it."""
    return next((value for end, value in (patterns or {}).items() if re.match(rf"(.*\.)?({end})$", place)), usual)

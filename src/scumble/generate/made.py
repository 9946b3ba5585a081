"""With what a picture is drawn, so that it can be said later whether the same is at hand."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version

import torch
from PIL import Image
from torch import nn

from scumble.device import PRECISIONS
from scumble.families.base import BaseModel
from scumble.files.fingerprint import fingerprint
from scumble.generate.pixels import pixel_hash
from scumble.generate.recipe import Made

HASH_SIGNS = 16
PACKAGES = ("scumble", "torch", "diffusers", "transformers")


@dataclass(frozen=True)
class Setting:
    """What all pictures of a painter have in common.

    Attributes:
        base: model part -> hash of its fingerprint.
        precision: of the denoiser's weights.
        device: where it is.
    """

    base: Mapping[str, str]
    precision: str
    device: str


def setting_of(parts: Mapping[str, nn.Module]) -> Setting:
    """The setting of loaded modules, whose adapters must not be folded in.

    Args:
        parts: model part -> module; "unet" among them.
    """
    weight = next(parts["unet"].parameters())
    precisions = {dtype: name for name, dtype in PRECISIONS.items()}
    name = f" ({torch.cuda.get_device_name(weight.device)})" if weight.device.type == "cuda" else ""
    return Setting(
        {part: part_hash(module) for part, module in parts.items()},
        precisions.get(weight.dtype, str(weight.dtype)),
        weight.device.type + name,
    )


def part_hash(module: nn.Module) -> str:
    """A short hash of a model part's fingerprint: of about a thousand of its weights, in float16.

    The same whether it was loaded in float32 or float16, and with adapters on it or without.
    """
    weights = {
        path.removeprefix("text_model.").removesuffix(".layer"): layer.weight  # as libraries and adapters rename them
        for path, layer in module.named_modules()
        if isinstance(layer, nn.Linear | nn.Conv2d)
    }
    return hashlib.sha256(fingerprint(weights).encode()).hexdigest()[:HASH_SIGNS]


@dataclass(frozen=True)
class Batch:
    """Pictures drawn together.

    Attributes:
        size: how many they are.
        is_folded: the LoRAs were added to the weights.
        upscaler_tile_px: as of `Made`.
    """

    size: int
    is_folded: bool
    upscaler_tile_px: int = 0


def made_of(base: BaseModel, setting: Setting, batch: Batch, place: int, image: Image.Image) -> Made:
    """With what a picture was drawn.

    Args:
        base: the opened base.
        setting: what all pictures have in common.
        batch: with which it was drawn.
        place: its own among them, from 0.
        image: what came out.
    """
    return Made(
        base=setting.base,
        vae=base.chosen_vae,
        is_tiled=base.is_tiled,
        prediction_type=base.prediction_type,
        zero_terminal_snr=base.zero_terminal_snr,
        precision=setting.precision,
        device=setting.device,
        batch_size=batch.size,
        batch_place=place,
        is_folded=batch.is_folded,
        upscaler_tile_px=batch.upscaler_tile_px,
        versions={package: version(package) for package in PACKAGES},
        pixels=pixel_hash(image),
    )

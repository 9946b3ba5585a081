"""Weights as the original checkpoints name them -> as diffusers and transformers do, by diffusers' own functions.

Each function takes the tensors of one part under their full names in the file, and the empty model they are for.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

Weights = dict[str, Tensor]
POSITIONS = "text_model.embeddings.position_ids"


@dataclass(frozen=True)
class Stored:
    """Where a part lies in a checkpoint file.

    Attributes:
        prefix: its names begin so.
        convert: names and layouts, as the module docstring says.
    """

    prefix: str
    convert: Callable[[Weights, Any, str], Weights]


Layout = Mapping[str, Stored]
"""Model part -> where it lies."""


def denoiser_weights(tensors: Weights, model: Any, prefix: str) -> Weights:
    """A UNet."""
    from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint

    converted: Weights = convert_ldm_unet_checkpoint(tensors, model.config)
    return converted


def autoencoder_weights(tensors: Weights, model: Any, prefix: str) -> Weights:
    """An autoencoder, also one that has diffusers' names already."""
    from diffusers.loaders.single_file_utils import convert_ldm_vae_checkpoint

    if any("_blocks." in name for name in tensors):
        return {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}
    converted: Weights = convert_ldm_vae_checkpoint(tensors, model.config)
    return converted


def clip_weights(tensors: Weights, model: Any, prefix: str) -> Weights:
    """OpenAI's CLIP text model; some merges lack `text_model`, and old files carry the numbers 0 to 76."""
    plain = {name.removeprefix(prefix).removeprefix("text_model."): tensor for name, tensor in tensors.items()}
    return _named_for(model, {f"text_model.{name}": tensor for name, tensor in plain.items()})


def open_clip_weights(tensors: Weights, model: Any, prefix: str) -> Weights:
    """OpenCLIP's text model, whose query, key and value are one matrix."""
    from diffusers.loaders.single_file_utils import convert_open_clip_checkpoint

    return _named_for(model, convert_open_clip_checkpoint(model, tensors, prefix=prefix))


def _named_for(model: Any, tensors: Weights) -> Weights:
    """transformers 5.6 dropped `text_model` from the modules of one of its two classes."""
    tensors.pop(POSITIONS, None)
    if hasattr(model, "text_model"):
        return tensors
    return {name.removeprefix("text_model."): tensor for name, tensor in tensors.items()}


UNET = Stored("model.diffusion_model.", denoiser_weights)
VAE = Stored("first_stage_model.", autoencoder_weights)
BARE_VAE = Stored("", autoencoder_weights)
EMA_PREFIX = "model_ema."

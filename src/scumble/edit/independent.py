"""A LoRA file as another program understands it: the second opinion of the verification after saving."""

from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from torch import Tensor

from scumble.edit.independent_words import layers_in, without_words
from scumble.errors import LoraFileError


def read_independently(path: str | Path, denoiser_config: Any) -> dict[str, Tensor]:
    """The weight change of every layer, resolved by diffusers' own reader and not by ours.

    Needs no peft. None of the functions that wrote the file takes part. diffusers refuses a file with words, so that it is
    shown one without.

    Args:
        path: a .safetensors file.
        denoiser_config: the `config` of the diffusers denoiser that the LoRA is for.
    Returns:
        Canonical key -> (alpha / rank) B A, [out, in(, k, k)], float32, on the CPU.
    Raises:
        LoraFileError: diffusers cannot read the file, or drops some of it.
    """
    # importing diffusers takes seconds
    from diffusers.loaders import StableDiffusionLoraLoaderMixin
    from diffusers.utils.state_dict_utils import (
        convert_state_dict_to_diffusers,
        convert_state_dict_to_peft,
        convert_unet_state_dict_to_peft,
    )

    path = Path(path)
    try:
        if not layers_in(path):
            return {}
        with without_words(path) as readable:
            state, alphas, settings = StableDiffusionLoraLoaderMixin.lora_state_dict(
                str(readable), unet_config=denoiser_config, use_safetensors=True, local_files_only=True,
                return_lora_metadata=True,
            )  # fmt: skip
        read = {}
        for part in sorted({key.partition(".")[0] for key in state}):
            own, own_alphas = _part(state, part), _part(alphas or {}, part)
            if part == "unet":
                own, own_alphas = map(convert_unet_state_dict_to_peft, (own, own_alphas))
            else:
                own = convert_state_dict_to_peft(convert_state_dict_to_diffusers(own))
            read[part] = own, own_alphas
    except (OSError, ValueError, LookupError, RuntimeError, SafetensorError) as error:
        raise LoraFileError(f"{path}: diffusers cannot read this file: {error}") from error
    if settings:
        raise LoraFileError(f"{path}: found PEFT settings in the metadata, which readers disagree about; expected none")
    return {
        f"{part}.{layer}": change
        for part, (own, own_alphas) in read.items()
        for layer, change in _changes(own, own_alphas, path).items()
    }


def _part(state: dict[str, Any], part: str) -> dict[str, Any]:
    return {key.removeprefix(f"{part}."): value for key, value in state.items() if key.startswith(f"{part}.")}


def _changes(state: dict[str, Tensor], alphas: dict[str, float], path: str | Path) -> dict[str, Tensor]:
    if len(set(alphas.values())) > 1:
        # its loader keeps the most frequent alpha and gives it to all attention layers
        raise LoraFileError(
            f"{path}: found several alphas, which diffusers does not apply; expected one for all layers"
        )
    common = next(iter(alphas.values()), None)
    changes = {}
    for key, down in state.items():
        layer, is_down, _ = key.partition(".lora_A.")
        if not is_down:
            continue
        layer = layer.replace(".processor.", ".")
        up = state.get(key.replace(".lora_A.", ".lora_B."))
        if up is None:
            raise LoraFileError(f"{path}: diffusers finds no B for {layer}")
        alpha = float(down.shape[0]) if common is None else common
        product = up.float().flatten(1) @ down.float().flatten(1)
        changes[layer] = (alpha / down.shape[0]) * product.view(up.shape[0], *down.shape[1:])
    if 2 * len(changes) != len(state):
        raise LoraFileError(f"{path}: diffusers understands {2 * len(changes)} of {len(state)} tensors")
    return changes

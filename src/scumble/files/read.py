"""Reading and writing LoRA files of any known naming."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from scumble.errors import LoraFileError
from scumble.files.assemble import first_names
from scumble.files.atomic import write_atomically
from scumble.files.encode import encode, with_hashes
from scumble.files.guard import read_safetensors, refuse_non_finite
from scumble.files.lorafile import Format, LoraFile
from scumble.registry import load, names

NOT_LORAS = {
    "model.diffusion_model.": "a whole Stable Diffusion checkpoint",
    "first_stage_model.": "an autoencoder",
    "emb_params": "a textual inversion embedding",
    "clip_l": "a textual inversion embedding of SDXL",
    "down_blocks.": "a denoiser's own weights",
}
"""How tensors of other files begin -> what these files are."""


def read_lora(path: str | Path, layer_paths: Mapping[str, Sequence[str]]) -> LoraFile:
    """A LoRA file of any known naming, in canonical form.

    Args:
        path: a .safetensors file.
        layer_paths: model part -> dotted paths of the base's layers, in canonical names.
    Raises:
        LoraFileError: damaged, not a LoRA, of an algorithm not known, or not wholly for this base.
    """
    tensors, metadata = read_safetensors(path)
    try:
        return _format_of(tensors).read(tensors, metadata, layer_paths)
    except LoraFileError as error:
        raise LoraFileError(f"{path}: {error}") from error


def write_lora(file: LoraFile, path: str | Path, format: str = "kohya", dtype: torch.dtype | None = None) -> None:
    """Write a LoRA file: whole or not at all, the same bytes for the same content.

    Args:
        file: the LoRA.
        path: where to; its folder must exist; an older file is replaced.
        format: a format's name in the registry.
        dtype: how numbers are stored; none = as they are.
    Raises:
        ConfigError: unknown format.
        LoraFileError: no layers, a number is not finite in this dtype, or the disk refuses.
    """
    if not file.layers:
        raise LoraFileError(f"{path}: there is no layer to write")
    plugin: Format = load("format", format)
    tensors, metadata = plugin.write(file)
    stored = dtype or _common_dtype(file)
    tensors = {name: _stored_as(tensor, stored) for name, tensor in tensors.items()}
    refuse_non_finite(tensors, f"{path} (not written, in {str(stored).removeprefix('torch.')})")
    try:
        write_atomically(path, encode(tensors, with_hashes(tensors, metadata)))
    except OSError as error:
        raise LoraFileError(f"{path}: cannot be written ({error}); an older file there is untouched") from error


def _format_of(tensors: Mapping[str, Tensor]) -> Format:
    for name in names("format"):
        plugin: Format = load("format", name)
        if plugin.matches(tensors):
            return plugin
    kind = next((what for begin, what in NOT_LORAS.items() if any(key.startswith(begin) for key in tensors)), None)
    found = kind or (f"tensors named {first_names(tensors)}" if tensors else "no tensors")
    raise LoraFileError(f"found {found}, expected a LoRA in the naming of {' or '.join(names('format'))}")


def _common_dtype(file: LoraFile) -> torch.dtype:
    dtypes = {tensor.dtype for layer in file.layers.values() for tensor in layer.tensors.values()}
    return dtypes.pop() if len(dtypes) == 1 else torch.float32


def _stored_as(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    stored = tensor.to(dtype)
    # an alpha that would be rounded changes the strength of its layer: a wider number is read just as well
    rounded = tensor.ndim == 0 and stored.double().item() != tensor.double().item()
    return tensor if rounded else stored

"""Reading and writing LoRA files of any known naming."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from scumble.errors import LoraFileError, NamingError
from scumble.files.atomic import write_together
from scumble.files.detect import format_of
from scumble.files.embeddings import BUNDLE, write_embeddings
from scumble.files.folder import laid_out, peft_files, read_files, without_settings
from scumble.files.guard import refuse_non_finite
from scumble.files.lorafile import Format, LoraFile
from scumble.files.places import SETTINGS, words_beside
from scumble.registry import load

IN_FULL = (".dora_scale", ".lora_magnitude_vector", ".lora_magnitude_vector.weight")
"""Ends of names of numbers that are as large as the base's weights: rounded, they would drown the change."""


def read_lora(path: str | Path, layer_paths: Mapping[str, Sequence[str]], allow_partial: bool = False) -> LoraFile:
    """A LoRA file of any known naming, in canonical form.

    Args:
        path: a .safetensors file, or a PEFT folder.
        layer_paths: model part -> dotted paths of the base's layers, in canonical names.
        allow_partial: read what is understood and has a layer in this base; `LoraFile.left_out` names the rest, and the
            caller tells the person.
    Raises:
        LoraFileError: damaged, not a LoRA, of an algorithm not known, or not wholly for this base; with allow_partial,
            if nothing of it is.
    """
    tensors, metadata = read_files(Path(path))
    try:
        plugin: Format = load("format", format_of(tensors))
        return plugin.read(tensors, metadata, layer_paths, allow_partial)
    except LoraFileError as error:
        raise LoraFileError(f"{path}: {error}") from error


def write_lora(file: LoraFile, path: str | Path, format: str = "kohya", dtype: torch.dtype | None = None) -> None:
    """Write a LoRA file: whole or not at all, the same bytes for the same content.

    Args:
        file: the LoRA.
        path: where to; its folder must exist; an older file is replaced. For PEFT a folder, which need not exist: all of
            PEFT's files in it and in its folders for model parts are replaced, others stay.
        format: a format's name in the registry.
        dtype: how numbers are stored; none = as they are.
    Raises:
        ConfigError: unknown format.
        NamingError: the format cannot say it.
        LoraFileError: no layers, a number is not finite in this dtype, or the disk refuses.
    """
    tensors, metadata = _written(file, path, format, dtype)
    contents = laid_out(Path(path), tensors, metadata)
    is_folder = any(each.name == SETTINGS for each in contents)
    outdated = [each for each in peft_files(Path(path)) if each not in contents] if is_folder else []
    try:
        for each in contents if is_folder else ():
            each.parent.mkdir(parents=True, exist_ok=True)
        write_together(contents, outdated)
    except OSError as error:
        raise LoraFileError(f"{path}: cannot be written ({error}); an older file there is untouched") from error


def write_words(file: LoraFile, path: str | Path) -> Path | None:
    """Write the words of a LoRA in files of their own beside it, as programs read them that do not look into LoRA files.

    Args:
        file: the LoRA.
        path: where it lies.
    Returns:
        The folder; None where there are no words, and nothing is written.
    Raises:
        LoraFileError: the disk refuses.
    """
    if not file.embeddings:
        return None
    folder = words_beside(Path(path))
    write_embeddings(file.embeddings, folder, file.metadata)
    return folder


def read_back(
    file: LoraFile,
    path: str | Path,
    layer_paths: Mapping[str, Sequence[str]],
    format: str = "kohya",
    dtype: torch.dtype | None = None,
) -> LoraFile:
    """What `write_lora` would make of a LoRA, as it is read again; nothing is written.

    Args:
        file, path, format, dtype: see `write_lora`.
        layer_paths: see `read_lora`.
    Raises:
        ConfigError, NamingError, LoraFileError: see `write_lora` and `read_lora`.
    """
    tensors, metadata = _written(file, path, format, dtype)
    plugin: Format = load("format", format_of(tensors))
    return plugin.read(tensors, metadata, layer_paths)


def _written(
    file: LoraFile, path: str | Path, format: str, dtype: torch.dtype | None
) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and metadata as they go into files."""
    if not file.layers and not file.embeddings:
        raise LoraFileError(f"{path}: there is no layer to write, and no word")
    plugin: Format = load("format", format)
    try:
        tensors, metadata = plugin.write(replace(file, metadata=without_settings(file.metadata)))
    except LoraFileError as error:
        raise NamingError(str(error)) from error
    stored = dtype or _common_dtype(file)
    tensors = {name: _stored_as(name, tensor, stored) for name, tensor in tensors.items()}
    refuse_non_finite(tensors, f"{path} (not written, in {str(stored).removeprefix('torch.')})")
    return tensors, metadata


def _common_dtype(file: LoraFile) -> torch.dtype:
    dtypes = {
        tensor.dtype
        for layer in file.layers.values()
        for name, tensor in layer.tensors.items()
        if name != "magnitude"  # always whole, see IN_FULL
    }
    return dtypes.pop() if len(dtypes) == 1 else torch.float32


def _stored_as(name: str, tensor: Tensor, dtype: torch.dtype) -> Tensor:
    if name.endswith(IN_FULL) or name.startswith(BUNDLE):
        return tensor
    stored = tensor.to(dtype)
    # an alpha that would be rounded changes the strength of its layer: a wider number is read just as well
    rounded = tensor.ndim == 0 and stored.double().item() != tensor.double().item()
    return tensor if rounded else stored

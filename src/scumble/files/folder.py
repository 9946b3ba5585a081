"""PEFT's folders: `adapter_model.safetensors` with the tensors and `adapter_config.json` with rank, alpha and more.

A LoRA of several model parts is a folder with one such folder for each part. Between here and the format, a folder's
tensors are named `<part>/<tensor>`, its settings are metadata named `<part>/adapter_config.json`.
"""

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from scumble.errors import LoraFileError
from scumble.files.embeddings import as_bundle
from scumble.files.encode import encode, with_hashes
from scumble.files.guard import read_metadata, read_safetensors
from scumble.files.namings import PEFT_BEGIN
from scumble.files.peft_settings import MAX_SETTINGS_BYTES
from scumble.files.places import FILE_SUFFIX, OLD_WEIGHTS, PARTS, SETTINGS, WEIGHTS

OWN_NAMES = (WEIGHTS, OLD_WEIGHTS, SETTINGS)
"""What PEFT calls its files."""

BEGINS = ("", *(f"{part}/" for part in PARTS))
"""The beginnings of names: none in a folder that is not one of several."""


def read_files(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and metadata of a file, or of a PEFT folder, with the settings that lie beside them.

    Raises:
        LoraFileError: not there, no such folder, damaged.
    """
    tensors: dict[str, Tensor] = {}
    metadata: dict[str, str] = {}
    for file in weight_files(path):
        is_of_part = path.is_dir() and file.parent.name in PARTS
        more_tensors, more_metadata = _read_part(file, f"{file.parent.name}/" if is_of_part else "")
        tensors |= more_tensors
        metadata |= more_metadata
    return tensors, metadata


def metadata_in(path: Path) -> dict[str, str]:
    """The metadata of a file, or of a PEFT folder; only headers are read.

    Raises:
        LoraFileError: not there, no such folder, damaged.
    """
    return {name: text for file in weight_files(path) for name, text in read_metadata(file).items()}


def weight_files(path: Path) -> list[Path]:
    """The safetensors files that a LoRA lies in: itself, or those of a PEFT folder.

    Raises:
        LoraFileError: a folder that is none of PEFT's.
    """
    if not path.is_dir():
        return [path]
    places = (path, *(path / part for part in PARTS))
    files = [place / WEIGHTS for place in places if (place / WEIGHTS).exists()]
    if not files:
        raise LoraFileError(
            f"{path}: found a folder without {WEIGHTS}, expected a .safetensors file or a PEFT folder: name the file"
        )
    return files[:1] if files[0].parent == path else files


def peft_files(path: Path) -> list[Path]:
    """The files of PEFT's own names that lie in a folder or in its folders for model parts, weights first.

    Args:
        path: the folder, or the weights in it.
    """
    folder = path.parent if path.name == WEIGHTS else path
    places = (folder, *(folder / part for part in PARTS))
    return [place / name for place in places for name in OWN_NAMES if (place / name).is_file()]


def _read_part(path: Path, begin: str) -> tuple[dict[str, Tensor], dict[str, str]]:
    tensors, metadata = read_safetensors(path)
    tensors = as_bundle(tensors, path.stem)
    metadata = without_settings(metadata)
    if path.name == WEIGHTS or any(name.startswith(PEFT_BEGIN) for name in tensors):
        metadata |= {begin + name: text for name, text in _settings(path.parent).items()}
    return {begin + name: tensor for name, tensor in tensors.items()}, metadata


def without_settings(metadata: Mapping[str, str]) -> dict[str, str]:
    """Metadata as it is in a file: what one says under the name of the settings is not the settings."""
    return {name: text for name, text in metadata.items() if name.removesuffix(SETTINGS) not in BEGINS}


def _settings(folder: Path) -> dict[str, str]:
    path = folder / SETTINGS
    if not path.is_file():
        return {}
    try:
        with path.open("rb") as stream:
            content = stream.read(MAX_SETTINGS_BYTES + 1)
        return {SETTINGS: content.decode("utf-8")}
    except (OSError, UnicodeDecodeError) as error:
        raise LoraFileError(f"{path}: cannot be read: {error}") from error


def laid_out(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> dict[Path, bytes]:
    """The files that a LoRA is written as, and what is in them: one, or the files of PEFT folders.

    Raises:
        LoraFileError: a PEFT folder is to be written, and the path is that of another file.
    """
    begins = [begin for begin in BEGINS if begin + SETTINGS in metadata]
    if not begins:
        return {path: encode(tensors, with_hashes(tensors, metadata))}
    if path.suffix == FILE_SUFFIX and path.name != WEIGHTS:
        raise LoraFileError(f"{path}: PEFT reads a folder with {WEIGHTS} and {SETTINGS} in it: name a folder")
    folder = path.parent if path.name == WEIGHTS else path
    common = without_settings(metadata)
    files = {}
    for begin in begins:
        part = {name.removeprefix(begin): tensor for name, tensor in tensors.items() if name.startswith(begin)}
        files[folder / begin / WEIGHTS] = encode(part, with_hashes(part, common))
        files[folder / begin / SETTINGS] = metadata[begin + SETTINGS].encode()
    return files

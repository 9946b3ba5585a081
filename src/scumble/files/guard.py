"""Reading safetensors files that come from anywhere: everything is checked before it is believed.

A file is 8 bytes of header length, a JSON header that says where each tensor lies, and the tensors' bytes. Reading takes
memory for these bytes once, and less than 100 MB more, whatever the file says.
"""

import codecs
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from scumble.errors import LoraFileError
from scumble.files.json_text import parse_json
from scumble.files.places import PICKLES

DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
"""The number formats that are read, by their names in the header."""

MAX_HEADER_BYTES = 8 * 2**20  # the longest seen, with a cover picture in the metadata, are a few MiB
MAX_TENSORS = 20_000  # a LoHa with DoRA of every layer of SDXL has 8,000
MAX_DIMS = 8
TEXT_BYTES = 64  # enough to tell a text from numbers
CHUNK = 2**20
"""How many numbers are looked at in one go."""

NOT_SAFETENSORS = {
    b"PK\x03\x04": "a zip archive or a PyTorch pickle",
    b"\x80\x02": "a Python pickle",
    b"<": "a web page (the download asked for a login?)",
    b"version ": "a git-lfs pointer (run `git lfs pull`)",
    b'{"': "a JSON text",
}
"""First bytes -> what such a file really is."""


@dataclass(frozen=True)
class Header:
    """What a file's header says, checked: the metadata, and the tensors in the order in which they lie."""

    metadata: dict[str, str]
    tensors: tuple["Place", ...]


@dataclass(frozen=True, order=True)
class Place:
    """Where a tensor lies: bytes `begin` to `end` after the header."""

    begin: int
    end: int
    name: str
    shape: tuple[int, ...]
    dtype: str


def read_safetensors(path: str | Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """All tensors, on the CPU, and the metadata of a LoRA's safetensors file.

    Raises:
        LoraFileError: no such file, a pickle, damaged, or a number is not finite.
    """
    tensors, metadata = read_tensors(path)
    refuse_non_finite(tensors, str(path))
    return tensors, metadata


def read_tensors(path: str | Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """All tensors, whatever their numbers, on the CPU, and the metadata of any safetensors file.

    Raises:
        LoraFileError: no such file, a pickle, or damaged.
    """
    path = Path(path)
    with _opened(path) as stream:
        header = _read_header(stream, path)
        return {place.name: _read_tensor(stream, place, path) for place in header.tensors}, header.metadata


def read_metadata(path: str | Path) -> dict[str, str]:
    """The metadata of a safetensors file; only its header is read.

    Raises:
        LoraFileError: no such file, a pickle, or damaged.
    """
    path = Path(path)
    with _opened(path) as stream:
        return _read_header(stream, path).metadata


def refuse_non_finite(tensors: Mapping[str, Tensor], where: str) -> None:
    """Raise if any number is NaN or infinite.

    Raises:
        LoraFileError: names the first tensor that has one, and how many have.
    """
    bad = [name for name, tensor in tensors.items() if not _is_finite(tensor)]
    if bad:
        raise LoraFileError(
            f"{where}: {len(bad)} of {len(tensors)} tensors have numbers that are not finite, first {bad[0]:.160}; "
            "a LoRA with such numbers draws black or noisy pictures: train again, with a lower learning rate"
        )


def _is_finite(tensor: Tensor) -> bool:
    if not tensor.is_floating_point():
        return True
    # in chunks, because looking takes several times the memory of what is looked at;
    # float32, because isfinite is not there for the 8-bit formats
    flat = tensor.detach().reshape(-1)
    chunks = (flat[begin : begin + CHUNK] for begin in range(0, flat.numel(), CHUNK))
    return all(bool(torch.isfinite(chunk.float() if chunk.itemsize == 1 else chunk).all()) for chunk in chunks)


def _read_tensor(stream: BufferedReader, place: Place, path: Path) -> Tensor:
    tensor = torch.empty(place.shape, dtype=DTYPES[place.dtype])
    into = tensor.reshape(-1).view(torch.uint8).numpy().data
    try:
        while len(into):
            count = stream.readinto(into)
            if not count:
                raise _damaged(path, "it changed while it was read")
            into = into[count:]
    except OSError as error:
        raise LoraFileError(f"{path}: cannot be read: {error}") from error
    return tensor


def _opened(path: Path) -> BufferedReader:
    if path.suffix.lower() in PICKLES:
        raise LoraFileError(
            f"{path}: found a pickle ({path.suffix}), which can run any program when it is opened, so it is not read; "
            f"expected .safetensors: 'scumble convert {path} --out {path.stem}.safetensors' makes it, in a process of its own"
        )
    if path.is_dir():
        raise LoraFileError(f"{path}: found a folder, expected a .safetensors file in it: name the file")
    if path.exists() and not path.is_file():
        raise LoraFileError(f"{path}: found a pipe or device, expected a .safetensors file")
    try:
        return path.open("rb")
    except FileNotFoundError:
        raise LoraFileError(f"{path}: there is no such file; look for its name and folder") from None
    except (OSError, ValueError) as error:
        raise LoraFileError(f"{path}: cannot be opened: {error}") from error


def _read_header(stream: BufferedReader, path: Path) -> Header:
    try:
        total = os.fstat(stream.fileno()).st_size
        start = stream.read(8)
        length = int.from_bytes(start, "little")
        if len(start) < 8 or not 2 <= length <= min(total - 8, MAX_HEADER_BYTES):
            raise _not_safetensors(path, start + stream.read(TEXT_BYTES), total)
        text = stream.read(length)
    except OSError as error:
        raise LoraFileError(f"{path}: cannot be read: {error}") from error
    entries = _parse(text, path)
    num_bytes = total - 8 - length
    del text
    metadata = _checked_metadata(entries.pop("__metadata__", {}), path)
    if len(entries) > MAX_TENSORS:
        raise _damaged(path, f"found {len(entries)} tensors, expected {MAX_TENSORS} or fewer")
    return Header(metadata, _checked_layout(entries, num_bytes, path))


def _not_safetensors(path: Path, start: bytes, total: int) -> LoraFileError:
    kind = next((what for first, what in NOT_SAFETENSORS.items() if start.lstrip().startswith(first)), None)
    if total == 0:
        kind = "an empty file"
    elif kind is None and _is_text(start):
        kind = "a text"
    if kind is not None:
        return LoraFileError(f"{path}: found {kind}, expected a safetensors file: get the file again")
    length = int.from_bytes(start[:8], "little")
    return _damaged(path, f"it begins with a header length of {length} bytes and is {total} bytes long")


def _is_text(start: bytes) -> bool:
    # the last character may be cut
    text = codecs.getincrementaldecoder("utf-8")
    try:
        return all(character.isprintable() or character.isspace() for character in text().decode(start))
    except UnicodeDecodeError:
        return False


def _damaged(path: Path, why: str) -> LoraFileError:
    return LoraFileError(f"{path}: not a whole safetensors file: {why}; get the file again")


def _parse(text: bytes, path: Path) -> dict[str, Any]:
    try:
        parsed = parse_json(text)
    except ValueError as error:
        raise _damaged(path, f"its header is not JSON that can be read ({error})") from error
    if not isinstance(parsed, dict):
        raise _damaged(path, f"its header is a {type(parsed).__name__}, expected an object")
    return cast("dict[str, Any]", parsed)


def _checked_metadata(metadata: Any, path: Path) -> dict[str, str]:
    if not isinstance(metadata, dict):
        raise _damaged(path, f"its metadata is a {type(metadata).__name__}, expected an object of strings")
    for name, value in metadata.items():
        if not isinstance(value, str):
            raise _damaged(path, f"metadata '{name:.80}' is a {type(value).__name__}, expected a string")
    return metadata


def _checked_layout(entries: Mapping[str, Any], num_bytes: int, path: Path) -> tuple[Place, ...]:
    """Tensors must fill the bytes after the header, without a gap, an overlap or a byte too many."""
    places = sorted(_checked_place(name, entry, path) for name, entry in entries.items())
    end_before = 0
    for place in places:
        if place.begin != end_before:
            raise _damaged(path, f"tensor '{place.name:.80}' begins at byte {place.begin}, expected {end_before}")
        end_before = place.end
    if end_before != num_bytes:
        raise _damaged(path, f"its tensors take {end_before} bytes, the file has {num_bytes} for them")
    return tuple(places)


def _checked_place(name: str, entry: Any, path: Path) -> Place:
    tensor = f"tensor '{name:.80}'"
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise _damaged(path, f"{tensor} needs exactly dtype, shape and data_offsets")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise _damaged(path, f"{tensor} has dtype {dtype!r:.40}, expected one of {', '.join(DTYPES)}")
    if not _are_counts(shape) or len(shape) > MAX_DIMS:
        raise _damaged(path, f"{tensor} has shape {shape!r:.80}, expected at most {MAX_DIMS} whole numbers")
    if not _are_counts(offsets) or len(offsets) != 2:
        raise _damaged(path, f"{tensor} has data_offsets {offsets!r:.80}, expected two whole numbers")
    if 0 in shape and math.prod(size for size in shape if size) >= 2**63:
        raise _damaged(path, f"{tensor} has shape {shape}, which is beyond 64 bits")
    begin, end = offsets
    if end - begin != math.prod(shape) * DTYPES[dtype].itemsize:
        raise _damaged(path, f"{tensor} of shape {shape} in {dtype} has {end - begin} bytes")
    return Place(begin, end, name, tuple(shape), dtype)


def _are_counts(numbers: Any) -> bool:
    # type(), not isinstance: True is an int to Python, not to the format
    return isinstance(numbers, list) and all(type(n) is int and 0 <= n < 2**63 for n in numbers)

"""safetensors files written one tensor at a time: a whole base never lies in memory.

A file is 8 bytes of header length, a JSON header that says where each tensor lies, and the tensors' bytes.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from scumble.files.atomic import written_atomically
from scumble.files.encode import ALIGNMENT, NAMES

CHUNK_BYTES = 2**24


@dataclass(frozen=True)
class Entry:
    """A tensor of a file: its name, the header's name of its number format, its shape and size."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    num_bytes: int

    @classmethod
    def of(cls, name: str, tensor: Tensor) -> "Entry":
        """The entry of a tensor."""
        return cls(name, NAMES[tensor.dtype], tuple(tensor.shape), tensor.numel() * tensor.itemsize)


@dataclass(frozen=True)
class Contents:
    """What a whole safetensors file holds.

    Attributes:
        path: the file.
        entries: its tensors, in the order in which they lie.
        metadata: its texts.
        begins: tensor -> where its bytes begin in the file.
    """

    path: Path
    entries: Sequence[Entry]
    metadata: Mapping[str, str]
    begins: Mapping[str, int]

    def copied(self, entry: Entry) -> Iterator[bytes]:
        """The bytes of a tensor, in chunks."""
        with self.path.open("rb") as stream:
            stream.seek(self.begins[entry.name])
            left = entry.num_bytes
            while left:
                chunk = stream.read(min(left, CHUNK_BYTES))
                if not chunk:
                    raise OSError(f"{self.path}: it changed while it was read")
                left -= len(chunk)
                yield chunk


def contents(path: Path) -> Contents:
    """Of a file that `families.checkpoint.read_header` has found to be whole."""
    with path.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        header = json.loads(stream.read(length))
    metadata = header.pop("__metadata__", {})
    places = sorted((*place["data_offsets"], name, place) for name, place in header.items())
    return Contents(
        path,
        [Entry(name, place["dtype"], tuple(place["shape"]), end - begin) for begin, end, name, place in places],
        metadata,
        {name: 8 + length + begin for begin, _, name, _ in places},
    )


def write_streamed(
    path: Path, entries: Sequence[Entry], metadata: Mapping[str, str], bytes_of: Callable[[Entry], Iterator[bytes]]
) -> None:
    """Write a safetensors file, whole or not at all; an older file is replaced.

    Args:
        path: where to.
        entries: the tensors, in the order in which they are to lie.
        metadata: the file's texts.
        bytes_of: the bytes of a tensor, in chunks.
    Raises:
        OSError: the disk refuses; an older file is untouched.
    """
    header: dict[str, object] = {"__metadata__": dict(sorted(metadata.items()))} if metadata else {}
    position = 0
    for entry in entries:
        end = position + entry.num_bytes
        header[entry.name] = {"dtype": entry.dtype, "shape": list(entry.shape), "data_offsets": [position, end]}
        position = end
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % ALIGNMENT)
    with written_atomically(path) as stream:
        stream.write(len(text).to_bytes(8, "little") + text)
        for entry in entries:
            written = sum(stream.write(chunk) for chunk in bytes_of(entry))
            assert written == entry.num_bytes, entry.name


def bytes_of_tensor(tensor: Tensor) -> Iterator[bytes]:
    """A tensor's bytes as they lie in a file."""
    yield tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()

"""Tensors kept on the disk under the hash of everything they were computed from, so that nothing stale is used.

An entry that is missing, damaged, another one's, of another shape or type, or not finite is computed again.
"""

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import platformdirs
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from scumble.files.atomic import write_atomically

VERSION = 2
"""Part of every key: raise it when what is computed changes."""

SUFFIX = ".safetensors"
Kind = Literal["latents", "text"]
"""What an entry holds, and the folder that it lies in."""


def default_cache_dir() -> Path:
    """The user's cache folder on this system."""
    return platformdirs.user_cache_path("scumble")


@dataclass(frozen=True)
class Key:
    """What an entry is known by.

    Attributes:
        kind: what it holds.
        digest: SHA-256, hexadecimal, over all that it is computed from.
    """

    kind: Kind
    digest: str


def content_key(kind: Kind, ingredients: Mapping[str, str | int | float]) -> Key:
    """The key of what is computed from these ingredients, in any order."""
    text = json.dumps({"version": VERSION, "kind": kind, **ingredients}, sort_keys=True, ensure_ascii=False)
    return Key(kind, hashlib.sha256(text.encode()).hexdigest())


class TensorCache:
    """A folder of small safetensors files, by content key; several processes may use it at once.

    A file's time of change is when it was last used.

    Args:
        folder: made when the first entry is written.

    Attributes:
        num_made: entries that had to be computed so far, because they were not there or not sound.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.num_made = 0

    def path(self, key: Key) -> Path:
        """Where the entry lies."""
        return self.folder / key.kind / key.digest[:2] / f"{key.digest}{SUFFIX}"

    def get(self, key: Key, shapes: Mapping[str, Sequence[int]]) -> dict[str, Tensor] | None:
        """The entry, or None where it must be computed.

        Args:
            key: its content key.
            shapes: name -> shape that each tensor must have.
        """
        try:
            content = self.path(key).read_bytes()
            tensors = load(content)
        except (FileNotFoundError, SafetensorError, ValueError):
            return None
        if _said(content) != {"key": key.digest, "numbers": _digest(tensors)} or not _is_sound(tensors, shapes):
            return None
        with contextlib.suppress(PermissionError):  # in a cache that others may only read, their use does not count
            os.utime(self.path(key))
        return tensors

    def get_or_make(
        self, key: Key, shapes: Mapping[str, Sequence[int]], make: Callable[[], Mapping[str, Tensor]]
    ) -> dict[str, Tensor]:
        """The entry; computed and stored first where it is not there or not sound."""
        found = self.get(key, shapes)
        if found is None:
            found = {name: tensor.detach().float().cpu().contiguous() for name, tensor in make().items()}
            self.path(key).parent.mkdir(parents=True, exist_ok=True)
            write_atomically(self.path(key), save(found, {"key": key.digest, "numbers": _digest(found)}))
            self.num_made += 1
        return found


def _said(content: bytes) -> Mapping[str, str]:
    """What a safetensors file that can be read says of itself."""
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    said: Mapping[str, str] = header.get("__metadata__", {})
    return said


def _digest(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 of the names and numbers."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(f"{name}\0{tensors[name].dtype}\0".encode())
        digest.update(tensors[name].flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _is_sound(tensors: Mapping[str, Tensor], shapes: Mapping[str, Sequence[int]]) -> bool:
    """Whether these are finite float32 tensors of these names and shapes."""
    found = {name: list(tensor.shape) for name, tensor in tensors.items()}
    return found == {name: list(shape) for name, shape in shapes.items()} and all(
        tensor.dtype == torch.float32 and bool(torch.isfinite(tensor).all()) for tensor in tensors.values()
    )

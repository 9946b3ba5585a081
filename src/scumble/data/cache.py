"""Tensors kept on the disk under the hash of everything they were computed from, so that nothing stale is used.

An entry that is missing, damaged, of another shape or not finite is computed again.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import platformdirs
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from scumble.files.atomic import write_atomically

VERSION = 1
"""Part of every key: raise it when what is computed changes."""


def default_cache_dir() -> Path:
    """The user's cache folder on this system."""
    return platformdirs.user_cache_path("scumble")


def content_key(ingredients: Mapping[str, str | int | float]) -> str:
    """SHA-256 over all that a tensor is computed from."""
    text = json.dumps({"version": VERSION, **ingredients}, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


class TensorCache:
    """A folder of small safetensors files, by content key.

    Args:
        folder: made when the first entry is written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, key: str) -> Path:
        """Where the entry lies."""
        return self.folder / key[:2] / f"{key}.safetensors"

    def get(self, key: str, shapes: Mapping[str, Sequence[int]]) -> dict[str, Tensor] | None:
        """The entry, or None where it must be computed.

        Args:
            key: its content key.
            shapes: name -> shape that each tensor must have.
        """
        try:
            tensors = load(self.path(key).read_bytes())
        except (FileNotFoundError, SafetensorError, ValueError):
            return None
        sound = {name: list(tensor.shape) for name, tensor in tensors.items()} == {
            name: list(shape) for name, shape in shapes.items()
        } and all(torch.isfinite(tensor).all() for tensor in tensors.values())
        return tensors if sound else None

    def get_or_make(
        self, key: str, shapes: Mapping[str, Sequence[int]], make: Callable[[], Mapping[str, Tensor]]
    ) -> dict[str, Tensor]:
        """The entry; computed and stored first where it is not there or not sound."""
        found = self.get(key, shapes)
        if found is None:
            found = {name: tensor.detach().float().cpu().contiguous() for name, tensor in make().items()}
            self.path(key).parent.mkdir(parents=True, exist_ok=True)
            write_atomically(self.path(key), save(found))
        return found

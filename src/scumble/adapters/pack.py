"""How the frozen weights of a whole model are kept, and what they take."""

from dataclasses import dataclass

import torch
from torch import nn

from scumble.adapters.offload import Ferry
from scumble.adapters.packed import Packing, packed_bytes
from scumble.adapters.stored import StoredLayer
from scumble.adapters.targets import find_targets

INNER = ("*_block*.*",)
"""The layers that are stored otherwise: those of the blocks. The first, the last and the time embedding are few and
sensitive, and norms and biases are small."""


@dataclass(frozen=True)
class Storage:
    """How frozen weights are kept.

    Attributes:
        packing: in how many bits; None = as they are.
        is_offloaded: in the computer's memory, from where they are copied to the device as they are used.
    """

    packing: Packing | None = None
    is_offloaded: bool = False

    @property
    def is_plain(self) -> bool:
        """Whether the model is left as it is."""
        return self.packing is None and not self.is_offloaded

    def loaded_on(self, device: torch.device) -> torch.device:
        """Where a model is loaded that is to be stored so: not on the device if that has no room for it."""
        return torch.device("cpu") if self.is_offloaded else device


@dataclass(frozen=True)
class Stored:
    """What the frozen numbers of a model take.

    Attributes:
        layers: how many layers are stored otherwise.
        plain: bytes on the device if the model were left as it is.
        on_device: bytes that stay on the device.
        elsewhere: bytes in the computer's memory.
    """

    layers: int
    plain: int
    on_device: int
    elsewhere: int


def store(model: nn.Module, storage: Storage, device: torch.device) -> nn.Module:
    """Store the linear layers and convolutions of a model's blocks, in place, and have the rest on the device.

    On a GPU the weights of convolutions that are left as they are lie with their channels last, as its matrix units read them.

    Args:
        model: holds no adapter yet.
        storage: how.
        device: where the model runs.
    Returns:
        The model.
    Raises:
        ConfigError: bitsandbytes is not installed.
    """
    if not storage.is_plain:
        ferry = Ferry(device) if storage.is_offloaded else None
        for path in find_targets(model, INNER):
            layer = model.get_submodule(path)
            assert isinstance(layer, nn.Linear | nn.Conv2d), f"{path} is a {type(layer).__name__}"
            model.set_submodule(path, StoredLayer(layer, storage.packing, ferry))
    elif device.type == "cuda":
        model.to(memory_format=torch.channels_last)
    return model.to(device)


def stored_bytes(model: nn.Module, dtype: torch.dtype, storage: Storage) -> Stored:
    """What a model's frozen numbers take, from its shapes alone.

    Args:
        model: as it is loaded; its numbers may be missing (meta device).
        dtype: of its numbers.
        storage: how it is kept.
    """
    paths = [] if storage.is_plain else find_targets(model, INNER)
    inner = [model.get_parameter(f"{path}.weight").numel() for path in paths]
    plain = dtype.itemsize * sum(parameter.numel() for parameter in model.parameters())
    of_inner = dtype.itemsize * sum(inner)
    stored = of_inner if storage.packing is None else sum(packed_bytes(count, storage.packing) for count in inner)
    rest = plain - of_inner
    if storage.is_offloaded:
        return Stored(len(paths), plain, rest, stored)
    return Stored(len(paths), plain, rest + stored, 0)

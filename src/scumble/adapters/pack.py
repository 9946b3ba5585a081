"""Packing the frozen weights of a whole model."""

from dataclasses import dataclass

from torch import nn

from scumble.adapters.packed import PackedLayer, Packing
from scumble.adapters.targets import find_targets

INNER = ("*_block*.*",)
"""The layers that are packed: those of the blocks. The first, the last and the time embedding are few and sensitive."""


@dataclass(frozen=True)
class Packed:
    """What packing a model did.

    Attributes:
        layers: how many layers are packed.
        bytes_before, bytes_after: what their weights took and take.
    """

    layers: int
    bytes_before: int
    bytes_after: int


def pack(model: nn.Module, packing: Packing) -> Packed:
    """Pack the linear layers and convolutions of a model's blocks, in place.

    Args:
        model: holds no adapter yet.
        packing: how.
    Raises:
        ConfigError: bitsandbytes is not installed.
    """
    paths = find_targets(model, INNER)
    before, after = 0, 0
    for path in paths:
        layer = model.get_submodule(path)
        assert isinstance(layer, nn.Linear | nn.Conv2d), f"{path} is a {type(layer).__name__}"
        packed = PackedLayer(layer, packing)
        before += layer.weight.numel() * layer.weight.element_size()
        after += packed.packed_bytes
        model.set_submodule(path, packed)
    return Packed(len(paths), before, after)

"""Modules with given names and weights, as a program's own model has them."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn


def layer_with(weight: Tensor) -> nn.Linear | nn.Conv2d:
    """A linear layer, or a convolution that keeps the size of its picture, with this weight and no bias."""
    layer: nn.Linear | nn.Conv2d
    if weight.ndim == 2:
        layer = nn.Linear(weight.shape[1], weight.shape[0], bias=False)
    else:
        size = weight.shape[2]
        layer = nn.Conv2d(weight.shape[1], weight.shape[0], size, padding=size // 2, bias=False)
    layer.weight = nn.Parameter(weight.clone(), requires_grad=False)
    return layer


def tree(layers: Mapping[str, nn.Module]) -> nn.Module:
    """A module that holds others under dotted paths."""
    root = nn.Module()
    for path, layer in layers.items():
        put(root, path, layer)
    return root


def put(root: nn.Module, path: str, layer: nn.Module) -> None:
    """Set the module at a dotted path; those on the way are made where they are missing."""
    *way, last = path.split(".")
    for step in way:
        if not hasattr(root, step):
            root.add_module(step, nn.Module())
        root = getattr(root, step)
    root.register_module(last, layer)


def fill(skeleton: nn.Module, layers: Mapping[str, nn.Module]) -> nn.Module:
    """Replace every linear layer and convolution of a model, which may be without memory ("meta"), by the narrow one.

    Raises:
        ValueError: the model's layers are not those that are given.
    """
    found = {path for path, layer in skeleton.named_modules() if isinstance(layer, nn.Linear | nn.Conv2d)}
    if found != layers.keys():
        raise ValueError(f"other layers than the program's own model has: {sorted(found ^ layers.keys())[:5]}")
    for path, layer in layers.items():
        put(skeleton, path, layer)
    return skeleton


def answer(layer: nn.Module) -> Tensor:
    """The weight that a linear layer or convolution without bias multiplies by, from its answers to unit inputs."""
    with torch.no_grad():
        if isinstance(layer, nn.Linear):
            turned: Tensor = layer(torch.eye(layer.in_features))
            return turned.T.contiguous()
        assert isinstance(layer, nn.Conv2d)
        size = layer.kernel_size[0]
        units = torch.zeros(layer.in_channels, layer.in_channels, size, size)
        units[range(layer.in_channels), range(layer.in_channels), size // 2, size // 2] = 1.0
        mirrored: Tensor = layer(units)
        return mirrored.flip(2, 3).transpose(0, 1).contiguous()

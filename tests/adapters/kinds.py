"""Layers of every kind that can be adapted, and adapters of every algorithm with numbers in every factor."""

from dataclasses import replace

import torch
from torch import nn

from scumble.adapters.build import new_adapter
from scumble.adapters.recipe import AdapterRecipe

RANK, ALPHA = 3, 2.0
LAYERS = {
    "linear": lambda: nn.Linear(12, 8),
    "square": lambda: nn.Linear(8, 8, bias=False),
    "conv 1x1": lambda: nn.Conv2d(12, 8, 1),
    "conv 3x3": lambda: nn.Conv2d(4, 6, 3, padding=1),
    "conv, stride 2": lambda: nn.Conv2d(6, 4, 3, stride=2, padding=1, bias=False),
}
RECIPES = {
    "lora": AdapterRecipe("lora", RANK, ALPHA),
    "lora, rank-stabilised": AdapterRecipe("lora", RANK, ALPHA, is_rank_stabilised=True),
    "lora, orthogonal": AdapterRecipe("lora", RANK, ALPHA, init="orthogonal"),
    "lora, pissa": AdapterRecipe("lora", RANK, ALPHA, init="pissa"),
    "loha": AdapterRecipe("loha", RANK, ALPHA),
    "lokr": AdapterRecipe("lokr", 1, ALPHA, factor=2),
    "lokr, both split": AdapterRecipe("lokr", 1, ALPHA, factor=4, is_split_twice=True),
    "lokr, full matrix": AdapterRecipe("lokr", RANK, ALPHA, is_full_matrix=True),
}
AXES = (None, "output", "input")


def make_layer(kind, dtype=torch.float32):
    """A frozen layer."""
    torch.manual_seed(len(kind))
    return LAYERS[kind]().to(dtype).requires_grad_(False)


def make_input(kind, dtype=torch.float32, seed=0):
    """Two samples that fit a layer of this kind."""
    layer, source = LAYERS[kind](), torch.Generator().manual_seed(seed)
    shape = (2, 5, layer.in_features) if isinstance(layer, nn.Linear) else (2, layer.in_channels, 6, 6)
    return torch.randn(*shape, generator=source).to(dtype)


def new(layer, recipe, axis=None, seed=0, **more):
    """An adapter as training starts with it."""
    recipe = replace(RECIPES[recipe], dora=axis, **more)
    return new_adapter(layer, recipe, torch.Generator().manual_seed(seed))


def trained(layer, recipe, axis=None, seed=0, **more):
    """An adapter of which every parameter has moved."""
    adapter, source = new(layer, recipe, axis, seed, **more), torch.Generator().manual_seed(seed + 50)
    with torch.no_grad():
        for name, parameter in adapter.named_parameters():
            step = torch.randn(parameter.shape, generator=source)
            parameter += 0.3 * step * (parameter if name == "magnitude" else 1)
    return adapter

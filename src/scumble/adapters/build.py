"""Adapters of any algorithm for a layer: new ones by a recipe, or from the numbers of a file."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from scumble import registry
from scumble.adapters import dora
from scumble.adapters.base import Adapter, line_view
from scumble.adapters.geometry import Geometry
from scumble.adapters.recipe import AdapterRecipe


def new_adapter(layer: nn.Module, recipe: AdapterRecipe, generator: torch.Generator) -> Adapter:
    """An adapter that changes nothing yet.

    Args:
        layer: the frozen layer it is for.
        recipe: what it is to be.
        generator: a CPU generator, source of its random numbers.
    """
    adapter: Adapter = registry.load("algorithm", recipe.algorithm).create(layer, recipe, generator)
    if recipe.dora is not None:
        adapter = dora.create(adapter, layer, recipe.dora)
    adapter.leave_out(recipe.dropout)
    return adapter


def empty_tensors(layer: nn.Module, recipe: AdapterRecipe) -> dict[str, Tensor]:
    """What `new_adapter` would train, by name, in its shapes and without numbers: on the meta device, as the layer may be."""
    geometry = Geometry.of(layer)
    shapes: Mapping[str, tuple[int, ...]] = registry.load("algorithm", recipe.algorithm).shapes(geometry, recipe)
    tensors = {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}
    if recipe.dora is not None:
        lines = {"output": geometry.out_features, "input": geometry.in_features}[recipe.dora]
        tensors[dora.MAGNITUDE] = line_view(torch.empty(lines, device="meta"), recipe.dora, len(geometry.shape))
    return tensors


def adapter_of(
    layer: nn.Module, algorithm: str, tensors: Mapping[str, Tensor], rank: int, alpha: float, path: str
) -> Adapter:
    """An adapter with the numbers of a file.

    Args:
        layer: the frozen layer it is for.
        algorithm: the plug-in's name in the registry.
        tensors: as `Adapter.tensors` names them; with "magnitude" it is DoRA.
        rank, alpha: the change is scaled by alpha / rank.
        path: the layer's path, for messages.
    Raises:
        LoraFileError: shapes do not fit each other or the layer.
    """
    adapter: Adapter = registry.load("algorithm", algorithm).from_tensors(layer, tensors, rank, alpha, path)
    if dora.MAGNITUDE in tensors:
        adapter = dora.from_tensors(adapter, layer, tensors[dora.MAGNITUDE], path)
    return adapter

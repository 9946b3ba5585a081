"""Weighted sums of LoRAs of any algorithms as one plain LoRA: exactly where all are plain, by SVD where they are not."""

from collections.abc import Mapping, Sequence

import torch

from scumble.edit.change import is_plain, thin_change, whole_change
from scumble.edit.figures import Error, ErrorSum
from scumble.edit.reduce import Size, as_layer, common_alpha, fitted, reduced
from scumble.edit.svd import Thin
from scumble.errors import LoraFileError
from scumble.families.layers import LayerTable
from scumble.files.lorafile import LoraFile, LoraLayer

Weighted = Sequence[tuple[float, LoraFile]]
"""LoRAs with their weights."""


def refitted(loras: Weighted, table: LayerTable, size: Size, dtype: torch.dtype) -> tuple[dict[str, LoraLayer], Error]:
    """The sum of weight x change at every layer, as plain LoRA.

    Plain LoRAs are put side by side, of the sum of their ranks, which is exact; where that is too large they are reduced
    through their thin factors. What is not plain is built whole, a layer at a time.

    Args:
        loras: for the same base.
        table: its layers; with weights if there is a DoRA.
        size: how large a layer may be.
        dtype: of the result's numbers.
    Returns:
        Layers by canonical key, and how far they are from the sum, after rounding to dtype.
    Raises:
        LoraFileError: a layer is not plain and there is no bound on its rank; or a DoRA, and no weights.
    """
    at_layer: dict[str, list[tuple[float, LoraLayer]]] = {}
    for weight, file in loras:
        for key, layer in file.layers.items():
            at_layer.setdefault(key, []).append((weight, layer))
    _refuse_endless(at_layer, size)
    changes = {
        key: reduced(_side_by_side(key, parts), size) if _all_plain(parts) else fitted(_whole(key, parts, table), size)
        for key, parts in at_layer.items()
    }
    alpha = common_alpha(changes)
    total = ErrorSum()
    layers = {}
    for key, change in changes.items():
        layers[key] = as_layer(change, table.shapes[key], alpha, dtype)
        _add_error(total, key, layers[key], at_layer[key], table)
    return layers, total.error()


def _refuse_endless(at_layer: Mapping[str, Sequence[tuple[float, LoraLayer]]], size: Size) -> None:
    others = [key for key, parts in at_layer.items() if not _all_plain(parts)]
    if others and size.rank is None and size.energy is None:
        raise LoraFileError(
            f"{len(others)} of {len(at_layer)} layers are not plain LoRA, first {min(others)}: their sum has no low rank "
            "of its own; give --rank, and see the error that it makes"
        )


def _all_plain(parts: Sequence[tuple[float, LoraLayer]]) -> bool:
    return all(is_plain(layer) for _, layer in parts)


def _side_by_side(key: str, parts: Sequence[tuple[float, LoraLayer]]) -> Thin:
    thin = [(weight, thin_change(key, layer)) for weight, layer in parts]
    return Thin(torch.cat([weight * each.up for weight, each in thin], 1), torch.cat([each.down for _, each in thin]))


def _whole(key: str, parts: Sequence[tuple[float, LoraLayer]], table: LayerTable) -> torch.Tensor:
    total = torch.zeros(table.shapes[key])
    for weight, layer in parts:
        total += weight * whole_change(key, layer, table)
    return total


def _add_error(
    total: ErrorSum, key: str, made: LoraLayer, parts: Sequence[tuple[float, LoraLayer]], table: LayerTable
) -> None:
    found = thin_change(key, made)
    if _all_plain(parts):
        exact = _side_by_side(key, parts)
        total.add(key, found.minus(exact).square(), exact.square())
    else:
        change = _whole(key, parts, table).flatten(1).double()
        total.add(key, float((found.up @ found.down - change).square().sum()), float(change.square().sum()))

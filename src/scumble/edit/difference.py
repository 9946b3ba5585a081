"""How far the changes of one LoRA are from those of another, without building what is thin."""

from collections.abc import Mapping
from dataclasses import replace

import torch

from scumble.edit.change import MAGNITUDE, change_square, is_plain, thin_change, whole_change
from scumble.edit.figures import Error, ErrorSum
from scumble.families.layers import LayerTable
from scumble.files.lorafile import LoraLayer


def difference(found: Mapping[str, LoraLayer], expected: Mapping[str, LoraLayer], table: LayerTable) -> Error:
    """How far the changes of some layers are from those of others, as `figures` has it.

    A layer that is missing is as wrong as one of zeros, one that is not expected as if zeros had been. Of DoRAs without
    the base's weights the change of direction and the lengths are compared each on its own.
    """
    if found.keys() == expected.keys() and all(_same_numbers(layer, expected[key]) for key, layer in found.items()):
        return Error(0.0, "", 0.0)
    total = ErrorSum()
    for key in expected.keys() - found.keys():
        square = _square(key, expected[key], table)
        total.add(key, square, square)
    for key, layer in found.items():
        other = expected.get(key)
        if other is None:
            total.add(key, _square(key, layer, table), 0.0)
        elif is_plain(layer) and is_plain(other):
            exact = thin_change(key, other)
            total.add(key, thin_change(key, layer).minus(exact).square(), exact.square())
        elif _same_numbers(layer, other):
            total.add(key, 0.0, _square(key, other, table))
        elif MAGNITUDE in layer.tensors and not table.stored:
            _add_direction_and_lengths(total, key, layer, other, table)
        else:
            _add_whole(total, key, layer, other, table)
    return total.error()


def _same_numbers(layer: LoraLayer, other: LoraLayer) -> bool:
    return (
        (layer.algorithm, layer.scale) == (other.algorithm, other.scale)
        and layer.tensors.keys() == other.tensors.keys()
        and all(torch.equal(tensor, other.tensors[name]) for name, tensor in layer.tensors.items())
    )


def _square(key: str, layer: LoraLayer, table: LayerTable) -> float:
    """Of the change; of a DoRA without the base's weights that of all its numbers stands for it."""
    if MAGNITUDE not in layer.tensors or table.stored:
        return change_square(key, layer, table)
    return float(sum(tensor.double().square().sum() for tensor in layer.tensors.values()))


def _add_direction_and_lengths(
    total: ErrorSum, key: str, layer: LoraLayer, other: LoraLayer, table: LayerTable
) -> None:
    lengths, exact = (each.tensors[MAGNITUDE].double() for each in (layer, other))
    total.add(f"{key} (lengths)", float((lengths - exact).square().sum()), float(exact.square().sum()))
    _add_whole(total, key, _without_lengths(layer), _without_lengths(other), table)


def _without_lengths(layer: LoraLayer) -> LoraLayer:
    return replace(layer, tensors={name: tensor for name, tensor in layer.tensors.items() if name != MAGNITUDE})


def _add_whole(total: ErrorSum, key: str, layer: LoraLayer, other: LoraLayer, table: LayerTable) -> None:
    exact = whole_change(key, other, table).double()
    change = whole_change(key, layer, table).double()
    total.add(key, float((change - exact).square().sum()), float(exact.square().sum()))

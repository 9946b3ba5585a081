"""Any optimizer's state as named tensors and JSON values: what a checkpoint can hold and gives back to the bit."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from scumble.errors import CheckpointError


class OptimizerState(NamedTuple):
    """What an optimizer remembers.

    Attributes:
        tensors: "<parameter>/<name>" or "group <number>/<name>" -> tensor.
        values: JSON; a tensor in it is {"tensor": its name above, "cpu": whether it lies there for good}.
    """

    tensors: dict[str, Tensor]
    values: dict[str, Any]


def state_of(optimizer: torch.optim.Optimizer, parameters: Mapping[str, nn.Parameter]) -> OptimizerState:
    """The state of every parameter that was moved so far, and of every group.

    Args:
        optimizer: of any class.
        parameters: all that it moves, by name.
    Raises:
        CheckpointError: it remembers something that is neither tensor, number, text nor a list of these.
    """
    tensors: dict[str, Tensor] = {}
    moved = {
        name: _packed(optimizer.state[parameter], name, tensors)
        for name, parameter in parameters.items()
        if optimizer.state.get(parameter)
    }
    groups = [
        _packed({key: value for key, value in group.items() if key != "params"}, f"group {number}", tensors)
        for number, group in enumerate(optimizer.param_groups)
    ]
    return OptimizerState(tensors, {"parameters": moved, "groups": groups})


def restore_state(
    optimizer: torch.optim.Optimizer,
    parameters: Mapping[str, nn.Parameter],
    tensors: Mapping[str, Tensor],
    values: Mapping[str, Any],
) -> None:
    """Give the optimizer back the state that `state_of` took.

    Raises:
        CheckpointError: a tensor is missing, or one belongs to no parameter.
    """
    moved, groups = values["parameters"], values["groups"]
    named = set(_tensor_names([moved, groups]))
    odd = sorted((named ^ set(tensors)) | (set(moved) - set(parameters)))
    if odd or len(groups) != len(optimizer.param_groups):
        raise CheckpointError(
            f"the optimizer's state does not fit the adapter: {len(odd)} tensors differ"
            + (f", first {odd[0]}" if odd else "; it has other groups")
        )
    optimizer.state.clear()
    for name, packed in moved.items():
        optimizer.state[parameters[name]] = _unpacked(packed, tensors, parameters[name].device)
    for group, packed in zip(optimizer.param_groups, groups, strict=True):
        group.update(_unpacked(packed, tensors, group["params"][0].device))


def _packed(value: Any, name: str, tensors: dict[str, Tensor]) -> Any:
    """A value as JSON, its tensors put aside under their names."""
    match value:
        case Tensor():
            tensors[name] = value.detach()
            return {"tensor": name, "cpu": value.device.type == "cpu"}
        case None | bool() | int() | float() | str():
            return value
        case dict() if all(isinstance(key, str) for key in value):
            return {"dict": {key: _packed(each, f"{name}/{key}", tensors) for key, each in value.items()}}
        case list() | tuple():
            kind = "tuple" if isinstance(value, tuple) else "list"
            return {kind: [_packed(each, f"{name}/{number}", tensors) for number, each in enumerate(value)]}
    raise CheckpointError(f"the optimizer remembers {name}, which no checkpoint can hold: {type(value).__name__}")


def _unpacked(packed: Any, tensors: Mapping[str, Tensor], device: torch.device) -> Any:
    match packed:
        case {"tensor": name, "cpu": stays}:
            return tensors[name].to("cpu" if stays else device).clone()
        case {"dict": entries}:
            return {key: _unpacked(each, tensors, device) for key, each in entries.items()}
        case {"list": entries}:
            return [_unpacked(each, tensors, device) for each in entries]
        case {"tuple": entries}:
            return tuple(_unpacked(each, tensors, device) for each in entries)
    return packed


def _tensor_names(packed: Any) -> list[str]:
    match packed:
        case {"tensor": str(name), "cpu": bool()}:
            return [name]
        case dict():
            return [name for each in packed.values() for name in _tensor_names(each)]
        case list():
            return [name for each in packed for name in _tensor_names(each)]
    return []

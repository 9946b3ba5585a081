"""AdamW over the adapter's tensors, and its state as named tensors that a checkpoint can hold."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from scumble.adapters.base import Adapter
from scumble.errors import CheckpointError

STATE = ("exp_avg", "exp_avg_sq", "step")


def adapter_groups(adapters: Mapping[str, Adapter], ratio: float | None, text_ratio: float) -> list[dict[str, Any]]:
    """The adapters' parameters in groups for an optimizer, each with "faster": how many times the scheduled rate it
    learns at.

    Args:
        adapters: canonical key -> adapter.
        ratio: LoRA+ (Hayou et al. 2024, arXiv:2402.12354): that of the factors that start at zero; None = 1.
        text_ratio: that of the text encoders' adapters.
    """
    groups: dict[float, list[nn.Parameter]] = {}
    for key, adapter in adapters.items():
        of_part = text_ratio if key.startswith("text_encoder") else 1.0
        for name, parameter in adapter.named_parameters():
            faster = ratio if ratio is not None and name == adapter.starts_at_zero else 1.0
            groups.setdefault(of_part * faster, []).append(parameter)
    return [{"params": parameters, "faster": faster} for faster, parameters in groups.items()]


def build_adamw(
    groups: Sequence[dict[str, Any]],
    learning_rate: float,
    betas: tuple[float, float],
    epsilon: float,
    decay: float,
) -> torch.optim.AdamW:
    """AdamW (Loshchilov & Hutter 2017, arXiv:1711.05101), fused where the device has it."""
    devices = {parameter.device.type for group in groups for parameter in group["params"]}
    fused = devices <= {"cpu", "cuda"}
    return torch.optim.AdamW(list(groups), lr=learning_rate, betas=betas, eps=epsilon, weight_decay=decay, fused=fused)


def state_tensors(optimizer: torch.optim.Optimizer, parameters: Mapping[str, nn.Parameter]) -> dict[str, Tensor]:
    """The optimizer's state, "<parameter>/<state>" -> tensor; empty before the first step."""
    return {
        f"{name}/{key}": optimizer.state[parameter][key]
        for name, parameter in parameters.items()
        if parameter in optimizer.state
        for key in STATE
    }


def restore_state(
    optimizer: torch.optim.Optimizer, parameters: Mapping[str, nn.Parameter], tensors: Mapping[str, Tensor]
) -> None:
    """Give the optimizer back the state that `state_tensors` took.

    Raises:
        CheckpointError: a tensor is missing, or one belongs to no parameter.
    """
    moved = {
        name for name in parameters if f"{name}/{STATE[0]}" in tensors
    }  # module dropout may have spared some so far
    expected = {f"{name}/{key}" for name in moved for key in STATE}
    if expected != set(tensors):
        odd = sorted(expected ^ set(tensors))
        raise CheckpointError(
            f"the optimizer's state does not fit the adapter: {len(odd)} tensors differ, first {odd[0]}"
        )
    for name in sorted(moved):
        parameter = parameters[name]
        for key in STATE:
            stored = tensors[f"{name}/{key}"]
            like = stored if key == "step" and parameter.device.type == "cpu" else stored.to(parameter.device)
            optimizer.state[parameter][key] = like.clone()

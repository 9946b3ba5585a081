"""AdamW over the adapter's tensors, and its state as named tensors that a checkpoint can hold."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from scumble.errors import CheckpointError

STATE = ("exp_avg", "exp_avg_sq", "step")


def build_adamw(
    parameters: Mapping[str, nn.Parameter],
    learning_rate: float,
    betas: tuple[float, float],
    epsilon: float,
    decay: float,
) -> torch.optim.AdamW:
    """AdamW (Loshchilov & Hutter 2017, arXiv:1711.05101), fused where the device has it."""
    fused = all(parameter.device.type in {"cpu", "cuda"} for parameter in parameters.values())
    return torch.optim.AdamW(
        list(parameters.values()), lr=learning_rate, betas=betas, eps=epsilon, weight_decay=decay, fused=fused
    )


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
    if not tensors:
        return
    expected = {f"{name}/{key}" for name in parameters for key in STATE}
    if expected != set(tensors):
        odd = sorted(expected ^ set(tensors))
        raise CheckpointError(
            f"the optimizer's state does not fit the adapter: {len(odd)} tensors differ, first {odd[0]}"
        )
    for name, parameter in parameters.items():
        for key in STATE:
            stored = tensors[f"{name}/{key}"]
            like = stored if key == "step" and parameter.device.type == "cpu" else stored.to(parameter.device)
            optimizer.state[parameter][key] = like.clone()

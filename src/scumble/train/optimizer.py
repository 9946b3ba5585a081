"""The optimizer over the adapter's tensors."""

import io
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from typing import Any

import torch
from torch import nn

from scumble.adapters.base import Adapter
from scumble.errors import ConfigError
from scumble.train.optimizers import Found, is_averaging

FUSED_ON = {"cpu", "cuda"}
ONE_OF = {"fused", "foreach", "capturable", "differentiable"}
"""Arguments of torch's optimizers that decide how they work: given one, none is chosen."""


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


def build_optimizer(
    found: Found, groups: Sequence[dict[str, Any]], learning_rate: float, arguments: Mapping[str, Any]
) -> torch.optim.Optimizer:
    """An optimizer, ready to train; fused where class and device have it.

    Args:
        found: its class.
        groups: parameters, each group with "faster": how many times the rate it learns at.
        learning_rate: the highest.
        arguments: further ones of the constructor.
    Raises:
        ConfigError: the class refuses them.
    """
    devices = {parameter.device.type for group in groups for parameter in group["params"]}
    is_fused = found.kind.is_fused and devices <= FUSED_ON and not ONE_OF & arguments.keys()
    chosen = {**arguments, "fused": True} if is_fused else arguments
    rated = [{**group, "lr": learning_rate * group["faster"]} for group in groups]
    try:
        with redirect_stdout(io.StringIO()):  # some say there what they were told
            optimizer = found.type(rated, lr=learning_rate, **chosen)  # type: ignore[call-arg]
    except (TypeError, ValueError, RuntimeError, AssertionError, NotImplementedError) as error:
        raise ConfigError(f"optimizer={found.name} refuses its arguments: {error or type(error).__name__}") from None
    if is_averaging(optimizer):
        optimizer.train()  # type: ignore[attr-defined]
    return optimizer

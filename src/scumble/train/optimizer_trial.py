"""Whether an optimizer that nobody here has tried can train, stop and go on: four steps of numbers that cost nothing."""

import json
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn

from scumble.errors import CheckpointError, ConfigError
from scumble.train import draws
from scumble.train.optimizer_state import restore_state, state_of

SHAPES = ((64, 64), (8, 4))
"""Of each group: one is large enough for packed states, one starts at zero."""

STOP, STEPS = 2, 4

Build = Callable[[Sequence[dict[str, Any]]], torch.optim.Optimizer]
"""Groups with their "faster" -> the optimizer over them."""


def try_out(name: str, build: Build, ratios: Sequence[float], device: torch.device) -> None:
    """Take a few steps, then the same with a stop in between.

    Args:
        name: how messages call the optimizer.
        build: makes it.
        ratios: how many times faster each group learns.
        device: where it will train.
    Raises:
        ConfigError: it cannot take a step, a checkpoint cannot hold what it remembers, or going on from there is not
            the same as not to stop.
    """
    try:
        whole, stopped = (_parameters(len(ratios), device) for _ in range(2))
        _steps(_optimizer(build, whole, ratios), whole, range(STEPS))
        first = _optimizer(build, stopped, ratios)
        _steps(first, stopped, range(STOP))
        state = state_of(first, stopped)
        going_on = {key: nn.Parameter(parameter.detach().clone()) for key, parameter in stopped.items()}
        second = _optimizer(build, going_on, ratios)
        restore_state(second, going_on, state.tensors, json.loads(json.dumps(state.values)))
        _steps(second, going_on, range(STOP, STEPS))
    except (TypeError, ValueError, RuntimeError, AssertionError, AttributeError, CheckpointError) as error:
        rated = " (loraplus_lr_ratio, text_encoder_lr and token_lr give parts their own rates)"
        grouped = rated if len(ratios) > 1 else ""
        raise ConfigError(f"optimizer={name} cannot train this{grouped}: {error or type(error).__name__}") from None
    if not all(torch.equal(whole[key], going_on[key]) for key in whole):
        raise ConfigError(
            f"optimizer={name} keeps numbers where no checkpoint sees them: after a stop the run would be another; "
            "choose another optimizer"
        )


def _parameters(groups: int, device: torch.device) -> dict[str, nn.Parameter]:
    source = draws.generator(0, "optimizer trial")
    return {
        f"{group}.{number}": nn.Parameter((torch.randn(shape, generator=source) * (number == 0)).to(device))
        for group in range(groups)
        for number, shape in enumerate(SHAPES)
    }


def _optimizer(build: Build, parameters: dict[str, nn.Parameter], ratios: Sequence[float]) -> torch.optim.Optimizer:
    of_group = {
        number: [p for key, p in parameters.items() if key.startswith(f"{number}.")] for number in range(len(ratios))
    }
    return build([{"params": of_group[number], "faster": ratio} for number, ratio in enumerate(ratios)])


def _steps(optimizer: torch.optim.Optimizer, parameters: dict[str, nn.Parameter], steps: range) -> None:
    for step in steps:
        source = draws.generator(0, "optimizer trial", step)
        for parameter in parameters.values():
            parameter.grad = torch.randn(parameter.shape, generator=source).to(parameter.device)
        with torch.random.fork_rng():  # an optimizer may round at random: in training, dropout seeds each step
            torch.manual_seed(draws.seed_of(0, "optimizer trial", step))
            optimizer.step()

"""A side of a comparison: a program that makes the task's step."""

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from .task import CLIP, RATE, Task

Parameters = Mapping[str, Mapping[str, nn.Parameter]]
"""Path of a layer -> our name of a parameter -> the side's parameter."""


@dataclass(frozen=True)
class Side:
    """What can be asked of a side.

    Attributes:
        name: as tables have it.
        prediction: the forward pass, up to what the denoiser says.
        loss_of: the loss of what it said.
        step: a whole optimizer step.
        parameters: what it trains.
        has_same_gradients: whether it means to compute the very gradients that ours does.
        keeps: modules that nothing else holds.
    """

    name: str
    prediction: Callable[[], Tensor]
    loss_of: Callable[[Tensor], Tensor]
    step: Callable[[], Any]
    parameters: Parameters
    has_same_gradients: bool = True
    keeps: Any = None

    def loss(self) -> Tensor:
        """The forward pass, up to the loss."""
        return self.loss_of(self.prediction())

    def forget_gradients(self) -> None:
        """Let the next backward pass begin anew."""
        for named in self.parameters.values():
            for parameter in named.values():
                parameter.grad = None

    def one_step(self) -> float:
        """Processor seconds of a whole step: forward, backward, clipping, optimizer."""
        started = time.process_time()
        self.step()
        return time.process_time() - started


def peer_side(
    name: str,
    task: Task,
    denoiser: nn.Module,
    parameters: Parameters,
    keeps: Any = None,
    *,
    is_autocast: bool = False,
    has_same_gradients: bool = True,
) -> Side:
    """A side whose step is that of diffusers' training script: AdamW as torch has it, the gradient's norm clipped.

    Args:
        name: of the side.
        task: what is trained.
        denoiser: the task's, with the peer's adapters on it.
        parameters: of the peer; they get the task's numbers here.
        keeps: modules that must live as long as the side.
        is_autocast: whether its script runs the forward pass under autocast where weights are not float32.
        has_same_gradients: see `Side`.
    """
    with torch.no_grad():
        for path, named in parameters.items():
            for key, parameter in named.items():
                parameter.copy_(task.numbers[path][key].view_as(parameter))
    trained = [parameter for named in parameters.values() for parameter in named.values()]
    optimizer = torch.optim.AdamW(trained, lr=RATE)
    batch = task.batch

    def prediction() -> Tensor:
        with _autocast(task.dtype, is_autocast):
            noisy = task.objective.noisy(batch.latents, batch.noise, batch.timesteps).to(task.dtype)
            return denoiser(noisy, batch.timesteps, batch.text["hidden"].to(task.dtype), return_dict=False)[0]

    def loss_of(answer: Tensor) -> Tensor:
        return functional.mse_loss(answer.float(), batch.noise.float())

    def step() -> None:
        optimizer.zero_grad()
        loss_of(prediction()).backward()
        nn.utils.clip_grad_norm_(trained, CLIP)
        optimizer.step()

    return Side(name, prediction, loss_of, step, parameters, has_same_gradients, keeps)


def _autocast(dtype: torch.dtype, is_on: bool) -> AbstractContextManager[Any]:
    if not is_on or dtype == torch.float32:
        return nullcontext()
    return torch.autocast("cpu", dtype)

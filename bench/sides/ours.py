"""scumble: a session of its own, and its own step."""

import torch
from torch import Tensor

from scumble.adapters.inject import attach
from scumble.config import OptimizerConfig
from scumble.train.batches import Batch
from scumble.train.optimizer import adapter_groups
from scumble.train.optimizer_choice import build_chosen, choose_optimizer
from scumble.train.session import Session
from scumble.train.step import advance

from .side import Side
from .task import CLIP, RATE, Task

NAME = "scumble"


class _Same:
    """One batch, for ever."""

    def __init__(self, batch: Batch) -> None:
        self.batch = batch

    def batch_at(self, first_position: int, batch_size: int) -> Batch:
        return self.batch


def ours(task: Task) -> Side:
    """What `scumble train` runs in each step, from the batch on."""
    denoiser, adapters = task.own_denoiser(), task.adapters()
    attach(denoiser, "trained", adapters)
    chosen = OptimizerConfig(learning_rate=RATE)
    chosen = chosen.model_copy(update=choose_optimizer(chosen, RATE, 1000, 1))
    keyed = {f"unet.{path}": adapter for path, adapter in adapters.items()}
    session = Session(
        base=task.base,
        base_fingerprint=None,
        denoiser=denoiser,
        adapters=keyed,
        optimizer=build_chosen(chosen, adapter_groups(keyed, None, 1.0)),
        scaler=torch.amp.GradScaler("cpu", enabled=False),
        objective=task.objective,
        device=torch.device("cpu"),
        dtype=task.dtype,
    )
    batch, size = _Same(task.batch), len(task.batch.timesteps)

    def prediction() -> Tensor:
        return session._prediction(task.batch)

    def loss_of(answer: Tensor) -> Tensor:
        return session.objective.losses(answer, task.batch).mean()

    def step() -> float:
        return advance(session, batch, size, 1, RATE, CLIP)

    parameters = {path: _named(dict(adapter.named_parameters())) for path, adapter in adapters.items()}
    return Side(NAME, prediction, loss_of, step, parameters, keeps=session)


def _named(parameters):
    """As `Adapter.tensors` names them."""
    return {name.removeprefix("inner."): parameter for name, parameter in parameters.items()}

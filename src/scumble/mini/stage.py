"""One stage of pretraining: steps with a cosine learning rate, averaged weights, and checkpoints to go on from."""

import copy
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from scumble.errors import CheckpointError, DivergedError
from scumble.train.checkpoint import read_newest_checkpoint, write_checkpoint
from scumble.train.events import Event, Saved, Stepped
from scumble.train.optimizer import build_adamw, restore_state, state_tensors
from scumble.train.schedule import learning_rate_at

BETAS = (0.9, 0.99)
EPSILON = 1e-8
WARMUP_STEPS = 100
FLOOR = 0.02  # of the peak learning rate
MAX_AVERAGE_DECAY = 0.999
MAX_GRADIENT_NORM = 1.0


@dataclass(frozen=True)
class Stage:
    """What one stage trains.

    Attributes:
        name: of its checkpoint folder.
        module: what is trained; at the end it holds the average of its last weights.
        loss: step (from 0) -> scalar loss; a pure function of the step and the weights.
        num_steps: of the optimizer.
        learning_rate: the highest of the cosine.
        weight_decay: of AdamW.
    """

    name: str
    module: nn.Module
    loss: Callable[[int], Tensor]
    num_steps: int
    learning_rate: float
    weight_decay: float


def run_stage(stage: Stage, folder: Path, checkpoint_seconds: float, recipe: str) -> Iterator[Event]:
    """Train a stage, going on from its newest checkpoint; afterwards `stage.module` holds the averaged weights.

    Args:
        folder: checkpoints lie in `folder`/<stage name>.
        checkpoint_seconds: how often one is written; one always is at the end.
        recipe: text of the settings; a checkpoint of other settings is refused.
    Raises:
        CheckpointError: the checkpoint is of other settings, or damaged.
        DivergedError: the loss is not finite.
    """
    parameters = dict(stage.module.named_parameters())
    average = copy.deepcopy(stage.module).requires_grad_(False)
    optimizer = build_adamw(parameters, stage.learning_rate, BETAS, EPSILON, stage.weight_decay)
    done = _restore(stage, average, optimizer, folder / stage.name, recipe)
    saved_at = time.monotonic()
    for step in range(done, stage.num_steps):
        started = time.monotonic()
        rate = _rate(stage, step)
        loss = _advance(stage, optimizer, step, rate)
        decay = min(MAX_AVERAGE_DECAY, (1 + step) / (10 + step))
        torch._foreach_lerp_(list(average.parameters()), list(parameters.values()), 1 - decay)
        yield Stepped(step + 1, stage.num_steps, loss, rate, time.monotonic() - started)
        if step + 1 == stage.num_steps or time.monotonic() - saved_at > checkpoint_seconds:
            yield _save(stage, average, optimizer, folder / stage.name, step + 1, recipe)
            saved_at = time.monotonic()
    stage.module.load_state_dict(average.state_dict())
    stage.module.eval()


def _rate(stage: Stage, step: int) -> float:
    floor = FLOOR * stage.learning_rate
    return learning_rate_at(step, stage.num_steps, stage.learning_rate, "cosine", WARMUP_STEPS, floor)


def _advance(stage: Stage, optimizer: torch.optim.Optimizer, step: int, rate: float) -> float:
    for group in optimizer.param_groups:
        group["lr"] = rate
    stage.module.train()
    optimizer.zero_grad(set_to_none=True)
    loss = stage.loss(step)
    if not torch.isfinite(loss):
        raise DivergedError(f"the loss of step {step + 1} of {stage.name} is {float(loss)}; try a lower learning rate")
    loss.backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(stage.module.parameters(), MAX_GRADIENT_NORM)
    optimizer.step()
    return float(loss)


def _save(
    stage: Stage, average: nn.Module, optimizer: torch.optim.Optimizer, folder: Path, step: int, recipe: str
) -> Saved:
    groups = {
        "weights": stage.module.state_dict(),
        "average": average.state_dict(),
        "optimizer": state_tensors(optimizer, dict(stage.module.named_parameters())),
    }
    path = write_checkpoint(folder, step, groups, {"recipe": recipe}, keep=2)
    return Saved(step, path, f"checkpoint of {stage.name}")


def _restore(stage: Stage, average: nn.Module, optimizer: torch.optim.Optimizer, folder: Path, recipe: str) -> int:
    """Load the newest checkpoint of the stage, if there is one; returns the number of steps done."""
    checkpoint = read_newest_checkpoint(folder)
    if checkpoint is None:
        return 0
    if checkpoint.state["recipe"] != recipe:
        raise CheckpointError(f"{checkpoint.path} was made with other settings: use those, or another folder")
    stage.module.load_state_dict(dict(checkpoint.tensors["weights"]))
    average.load_state_dict(dict(checkpoint.tensors["average"]))
    restore_state(optimizer, dict(stage.module.named_parameters()), checkpoint.tensors["optimizer"])
    return checkpoint.step

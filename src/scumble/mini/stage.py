"""One stage of pretraining: steps with a cosine learning rate, averaged weights, and checkpoints to go on from."""

import copy
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from scumble.errors import CheckpointError, DivergedError
from scumble.mini.muon import Muon
from scumble.train.checkpoint import read_newest_checkpoint, write_checkpoint
from scumble.train.events import Event, Saved, Stepped
from scumble.train.optimizer import build_optimizer
from scumble.train.optimizer_state import restore_state, state_of
from scumble.train.optimizers import find_optimizer
from scumble.train.schedule import Rates

BETAS = (0.9, 0.99)
EPSILON = 1e-8
WARMUP_STEPS = 100
FLOOR = 0.02  # of the peak learning rate
MAX_AVERAGE_DECAY = 0.999
MAX_GRADIENT_NORM = 1.0
MUON_RATE = 20.0  # Muon's learning rate in AdamW's
NOT_MATRICES = (
    "embedding",
    "conv_in",
    "conv_out",
    "quant_conv",
    "heads",
)  # first and last layers: AdamW's, as Muon advises


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
        recipe: text of the settings that decide the weights; a checkpoint made with other ones is refused.
    """

    name: str
    module: nn.Module
    loss: Callable[[int], Tensor]
    num_steps: int
    learning_rate: float
    weight_decay: float
    recipe: str


def run_stage(stage: Stage, folder: Path, checkpoint_seconds: float) -> Iterator[Event]:
    """Train a stage, going on from its newest checkpoint; afterwards `stage.module` holds the averaged weights.

    Args:
        folder: checkpoints lie in `folder`/<stage name>.
        checkpoint_seconds: how often one is written; one always is at the end.
    Raises:
        CheckpointError: the checkpoint is of other settings, or damaged.
        DivergedError: the loss is not finite.
    """
    parameters = dict(stage.module.named_parameters())
    average = copy.deepcopy(stage.module).requires_grad_(False)
    optimizers = _build_optimizers(stage)
    done = _restore(stage, average, optimizers, folder / stage.name)
    saved_at = time.monotonic()
    for step in range(done, stage.num_steps):
        started = time.monotonic()
        rate = _rate(stage, step)
        loss = _advance(stage, optimizers, step, rate)
        decay = min(MAX_AVERAGE_DECAY, (1 + step) / (10 + step))
        torch._foreach_lerp_(list(average.parameters()), list(parameters.values()), 1 - decay)
        yield Stepped(step + 1, stage.num_steps, loss, rate, time.monotonic() - started)
        if step + 1 == stage.num_steps or time.monotonic() - saved_at > checkpoint_seconds:
            yield _save(stage, average, optimizers, folder / stage.name, step + 1)
            saved_at = time.monotonic()
    stage.module.load_state_dict(average.state_dict())
    stage.module.eval()


@dataclass(frozen=True)
class _Optimizers:
    """Muon over the inner matrices, AdamW over the rest."""

    muon: Muon
    adamw: torch.optim.Optimizer
    rest: dict[str, nn.Parameter]


def _build_optimizers(stage: Stage) -> _Optimizers:
    named = dict(stage.module.named_parameters())
    inner = {name: p for name, p in named.items() if p.ndim > 1 and not any(part in name for part in NOT_MATRICES)}
    rest = {name: p for name, p in named.items() if name not in inner}
    groups = [{"params": list(rest.values()), "faster": 1.0}]
    arguments = {"betas": BETAS, "eps": EPSILON, "weight_decay": stage.weight_decay}
    adamw = build_optimizer(find_optimizer("AdamW"), groups, stage.learning_rate, arguments)
    return _Optimizers(Muon(inner), adamw, rest)


def _rate(stage: Stage, step: int) -> float:
    floor = FLOOR * stage.learning_rate
    return Rates(stage.learning_rate, stage.num_steps, "cosine", WARMUP_STEPS, floor).at(step)


def _advance(stage: Stage, optimizers: _Optimizers, step: int, rate: float) -> float:
    for group in optimizers.adamw.param_groups:
        group["lr"] = rate
    stage.module.train()
    stage.module.zero_grad(set_to_none=True)
    with sdpa_kernel(SDPBackend.MATH):  # the fused kernel's backward takes a third of a step on a CPU, this a tenth
        loss = stage.loss(step)
    if not torch.isfinite(loss):
        raise DivergedError(
            f"the loss of step {step + 1} of {stage.name} is {float(loss.detach())}; try a lower learning rate"
        )
    loss.backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(stage.module.parameters(), MAX_GRADIENT_NORM)
    optimizers.adamw.step()
    optimizers.muon.step(MUON_RATE * rate)
    return float(loss.detach())


def _save(stage: Stage, average: nn.Module, optimizers: _Optimizers, folder: Path, step: int) -> Saved:
    adamw = state_of(optimizers.adamw, optimizers.rest)
    groups = {
        "weights": stage.module.state_dict(),
        "average": average.state_dict(),
        "adamw": adamw.tensors,
        "muon": optimizers.muon.state_tensors(),
    }
    path = write_checkpoint(folder, step, groups, {"recipe": stage.recipe, "adamw": adamw.values}, keep=2)
    return Saved(step, path, f"checkpoint of {stage.name}")


def _restore(stage: Stage, average: nn.Module, optimizers: _Optimizers, folder: Path) -> int:
    """Load the newest checkpoint of the stage, if there is one; returns the number of steps done."""
    checkpoint = read_newest_checkpoint(folder)
    if checkpoint is None:
        return 0
    if checkpoint.state["recipe"] != stage.recipe:
        raise CheckpointError(f"{checkpoint.path} was made with other settings: use those, or another folder")
    stage.module.load_state_dict(dict(checkpoint.tensors["weights"]))
    average.load_state_dict(dict(checkpoint.tensors["average"]))
    restore_state(optimizers.adamw, optimizers.rest, checkpoint.tensors["adamw"], checkpoint.state["adamw"])
    optimizers.muon.restore(checkpoint.tensors["muon"])
    return checkpoint.step

"""What an optimizer step does with the gradient: rates, unscaling, clipping, the optimizer's step, the average's."""

import torch
from torch import nn

from scumble.train.session import Session


def update(session: Session, learning_rate: float, clip: float) -> None:
    """Move the adapter by its gradient, and its average after it.

    Args:
        session: its adapter holds a gradient.
        learning_rate: of this step; each group learns at its own multiple of it.
        clip: highest norm of the gradient; 0 = any.
    Raises:
        DivergedError: the gradient is not finite; the adapter is as it was.
    """
    optimizer, scaler = session.optimizer, session.scaler
    for group in optimizer.param_groups:
        group["lr"] = learning_rate * group["faster"]
    scaler.unscale_(optimizer)
    norm = nn.utils.clip_grad_norm_(list(session.adapter.values()), clip if clip > 0 else float("inf"))
    if not torch.isfinite(norm):
        if not scaler.is_enabled():
            raise session.diverged(f"the gradient of step {session.step + 1} has norm {float(norm)}")
        session.faults.overflowed += 1
    scaler.step(optimizer)  # in float16 it skips a step whose gradient overflowed, and lowers the scale
    scaler.update()
    if session.average is not None:
        session.average.update(session.adapter, session.step)

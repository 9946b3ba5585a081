"""One optimizer step of a session."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from scumble.train import draws
from scumble.train.batches import Mixture
from scumble.train.session import Session
from scumble.train.update import update


def advance(
    session: Session, mixture: Mixture, batch_size: int, accumulation: int, learning_rate: float, clip: float
) -> float:
    """One optimizer step over `accumulation` batches.

    Args:
        session: becomes one step older.
        mixture: the samples.
        batch_size: samples of a forward pass.
        accumulation: forward passes of the step.
        learning_rate: of this step.
        clip: highest norm of the gradient; 0 = any.
    Returns:
        The mean loss of the step's samples.
    Raises:
        DivergedError: the loss or the gradient is not finite; the adapter is as it was before the step.
    """
    session.optimizer.zero_grad(set_to_none=True)
    total = torch.zeros((), device=session.device)
    for micro in range(accumulation):
        position = (session.step * accumulation + micro) * batch_size
        batch = mixture.batch_at(position, batch_size)
        with _dropping(session, position):
            loss = (session.objective.weights(batch.to(session.device)) * session.losses(batch)).mean() / accumulation
        session.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        total = total + loss.detach()
    value = float(total)
    if not torch.isfinite(total):
        raise session.diverged(f"the loss of step {session.step + 1} is {value}")
    update(session, learning_rate, clip)
    session.step += 1
    session.history.append((session.step, value))
    return value


@contextmanager
def _dropping(session: Session, position: int) -> Iterator[None]:
    """Let dropout act, from a source of its own that depends on the seed and the position alone."""
    torch.manual_seed(draws.seed_of(session.seed, "dropout", position))
    for adapter in session.adapters.values():
        adapter.train()
    try:
        yield
    finally:
        for adapter in session.adapters.values():
            adapter.eval()

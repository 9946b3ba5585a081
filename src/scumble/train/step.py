"""One optimizer step of a session."""

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from scumble.device import is_out_of_memory, release_memory
from scumble.train import draws
from scumble.train.parts import split
from scumble.train.prefetch import Batches
from scumble.train.session import Session
from scumble.train.update import update


def advance(
    session: Session, batches: Batches, batch_size: int, accumulation: int, learning_rate: float, clip: float
) -> float:
    """One optimizer step over `accumulation` batches.

    Where memory runs out, each batch is computed in two parts, then in four, and so on, from that step to the end of the
    run: gradient and loss stay what they were, to rounding, but dropout leaves out other numbers.

    Args:
        session: becomes one step older.
        batches: of the samples.
        batch_size: samples of a batch.
        accumulation: batches of the step, of all processes.
        learning_rate: of this step.
        clip: highest norm of the gradient; 0 = any.
    Returns:
        The mean loss of the step's samples.
    Raises:
        DivergedError: the loss or the gradient is not finite, and the adapter is as it was before the step; or the
            adapter after the step is not finite. The session's count of steps is that before the step.
        ProcessLostError: another process is lost; this one is as it was before the step.
        RuntimeError: memory ran out with one sample at a time.
    """
    session.new_words.before_step(session.step)
    total = session.peers.sum_gradients(session.adapter, _gradient(session, batches, batch_size, accumulation))
    value = float(total)
    if not math.isfinite(value):  # of the number that is here already: asking the device would be another wait
        raise session.diverged(f"the loss of step {session.step + 1} is {value}")
    update(session, learning_rate, clip)
    session.new_words.after_step()
    if not session.is_finite():
        raise session.diverged(f"the adapter after step {session.step + 1} has numbers that are not finite")
    session.step += 1
    session.history.append((session.step, value))
    return value


def memory_ran_out(session: Session, batch_size: int) -> str:
    """What to say of a batch that is split because memory ran out."""
    parts = session.faults.parts
    return (
        f"memory ran out at step {session.step}: from here on {batch_size} pictures go through in {parts} parts of "
        f"{-(-batch_size // parts)} at most; the same gradient, to rounding"
    )


def _gradient(session: Session, batches: Batches, batch_size: int, accumulation: int) -> Tensor:
    """Leave the step's gradient in the adapter, and give the mean loss."""
    while True:
        session.optimizer.zero_grad(set_to_none=True)
        try:
            return _pass_through(session, batches, batch_size, accumulation)
        except RuntimeError as error:
            if not is_out_of_memory(error) or session.faults.parts >= batch_size:
                raise
        session.faults.parts = min(2 * session.faults.parts, batch_size)  # not in `except`, which holds on to the graph
        session.optimizer.zero_grad(set_to_none=True)
        release_memory(session.device)


def _pass_through(session: Session, batches: Batches, batch_size: int, accumulation: int) -> Tensor:
    total = torch.zeros((), device=session.device)
    share = session.peers.share
    for micro in range(share.index, accumulation, share.count):
        position = (session.step * accumulation + micro) * batch_size
        for before, part in split(batches.batch_at(position, batch_size), session.faults.parts):
            weight = len(part.timesteps) / batch_size
            with _dropping(session, position + before):  # backward too: gradient checkpointing computes there again
                loss = session.losses(part).mean() * weight / accumulation
                session.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
            total = total + loss.detach()
    return total


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

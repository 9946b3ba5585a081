"""The adapter as it is to be used: what validation, samples and files see, where that is not what steps move.

An average of the run, or that of a schedule-free optimizer, replaces the numbers that are being trained for a while;
these come back to the bit.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor

from scumble.train.compiling import as_written
from scumble.train.optimizers import is_averaging
from scumble.train.session import Session


def evaluated(session: Session) -> dict[str, Tensor]:
    """The numbers to use, copied: "<canonical key>.<parameter>" -> tensor."""
    if session.average is not None:
        return {name: tensor.clone() for name, tensor in session.average.numbers.items()}
    before = trained(session)
    if not is_averaging(session.optimizer):
        return before
    session.optimizer.eval()  # type: ignore[attr-defined]
    numbers = trained(session)
    session.optimizer.train()  # type: ignore[attr-defined]
    _put(session, before)  # the way back through the library rounds
    return numbers


@contextmanager
def evaluating(session: Session) -> Iterator[None]:
    """Let the session have the numbers to use, and its blocks run as they are written, while the with-block lasts."""
    with as_written(session.denoiser):
        if session.average is None and not is_averaging(session.optimizer):
            yield
            return
        with holding(session, evaluated(session)):
            yield


@contextmanager
def holding(session: Session, numbers: Mapping[str, Tensor]) -> Iterator[None]:
    """Let the session's adapter be these numbers while the with-block lasts."""
    before = trained(session)
    _put(session, numbers)
    try:
        yield
    finally:
        _put(session, before)


def trained(session: Session) -> dict[str, Tensor]:
    """The numbers that steps move, copied."""
    return {name: parameter.detach().clone() for name, parameter in session.adapter.items()}


@torch.no_grad()
def _put(session: Session, numbers: Mapping[str, Tensor]) -> None:
    for name, parameter in session.adapter.items():
        parameter.copy_(numbers[name])

"""Whether the sides compute the same: a bench that compares different things is worthless."""

from collections.abc import Sequence

import torch
from torch import Tensor

from .side import Side

TOLERANCE = {torch.float32: (2e-5, 1e-3), torch.bfloat16: (2e-2, 1e-1)}
"""Precision of the frozen weights -> the highest differences of an answer and of all gradients together."""


class DifferentError(Exception):
    """A side computes something else; the message says what."""


def refuse_difference(first: Side, others: Sequence[Side], dtype: torch.dtype) -> dict[str, tuple[float, float]]:
    """Raise unless all sides give the first one's answer and gradients, |a - b| / |b|.

    Returns:
        Side -> the differences of its answer and its gradients; 0 where its gradients are not meant to be the same.

    Raises:
        DifferentError: one does not.
    """
    of_answer, of_gradients = TOLERANCE[dtype]
    expected, gradients = _answer(first)
    found = {}
    for side in others:
        answer, own = _answer(side)
        apart = _difference(answer, expected)
        if not apart <= of_answer:
            raise DifferentError(
                f"{side.name}: its answer differs from {first.name}'s by {apart:.1e}, at most {of_answer}"
            )
        far = _difference(own, gradients) if side.has_same_gradients else 0.0
        if not far <= of_gradients:
            raise DifferentError(f"{side.name}: its gradients differ by {far:.1e}, at most {of_gradients}")
        found[side.name] = (apart, far)
    return found


def _answer(side: Side) -> tuple[Tensor, Tensor]:
    """What the denoiser says, and all gradients in one tensor."""
    side.forget_gradients()
    answer = side.prediction()
    side.loss_of(answer).backward()
    gradients = [named[key].grad.flatten() for named in side.parameters.values() for key in sorted(named)]
    side.forget_gradients()
    return answer.detach(), torch.cat(gradients)


def _difference(a: Tensor, b: Tensor) -> float:
    return float((a.float() - b.float()).norm() / b.float().norm())

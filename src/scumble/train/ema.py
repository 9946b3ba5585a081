"""A running average of the adapter: smoother than its last step (Morales-Brotons et al. 2024, arXiv:2411.18704)."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn


def decay_at(step: int, decay: float) -> float:
    """How much of the average stays in an update: little at first, when the start is still far from good.

    Args:
        step: optimizer steps done before this one.
        decay: the highest; min(decay, (1 + step) / (10 + step)) is taken, and 0 of the first step.
    """
    return min(decay, (1 + step) / (10 + step)) if step > 0 else 0.0


class Average:
    """An exponential moving average of parameters, in float32.

    Args:
        parameters: name -> parameter; the average begins as these.
        decay: see `decay_at`.
    """

    def __init__(self, parameters: Mapping[str, nn.Parameter], decay: float) -> None:
        self.decay = decay
        self.numbers = {name: parameter.detach().clone().float() for name, parameter in parameters.items()}

    @torch.no_grad()
    def update(self, parameters: Mapping[str, nn.Parameter], step: int) -> None:
        """Take in the parameters after a step.

        Args:
            parameters: those it was made of.
            step: optimizer steps done before this one.
        """
        averages = list(self.numbers.values())
        present = [parameters[name].detach().float() for name in self.numbers]
        torch._foreach_lerp_(averages, present, 1 - decay_at(step, self.decay))

    def restore(self, numbers: Mapping[str, Tensor]) -> None:
        """Become the average whose numbers these are."""
        for name, average in self.numbers.items():
            average.copy_(numbers[name])

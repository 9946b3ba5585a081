"""Random numbers that a factor starts with."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from scumble.adapters.recipe import Init


def random_down(shape: Sequence[int], init: Init, generator: torch.Generator) -> Tensor:
    """The factor that meets the input, [r, in(, k, k)], float32.

    Args:
        shape: of the factor.
        init: "kaiming" = uniform within 1/sqrt(in k k), as PEFT and kohya start; "gaussian" = deviation 0.01;
            "orthogonal" = rows at right angles to each other, of length 1, as far as there is room.
        generator: a CPU generator.
    """
    down = torch.empty(*shape)
    if init == "kaiming":
        nn.init.kaiming_uniform_(down, a=math.sqrt(5), generator=generator)
    elif init == "orthogonal":
        nn.init.orthogonal_(down, generator=generator)
    else:
        down.normal_(std=0.01, generator=generator)
    return down


def random_normal(shape: Sequence[int], deviation: float, generator: torch.Generator) -> Tensor:
    """Gaussian numbers of mean 0, float32."""
    return torch.empty(*shape).normal_(std=deviation, generator=generator)

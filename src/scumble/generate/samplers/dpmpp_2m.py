"""DPM++ 2M: the denoised latents are carried on in a straight line from the last step's, in log sigma.

DPM-Solver++(2M), Lu et al. 2022, arXiv:2211.01095, algorithm 2.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor

from scumble.generate.samplers.point import Noise, Point, Steps, blend


def dpmpp_2m(latents: Tensor, sigmas: Sequence[float], _noise: Noise) -> Steps:
    """One question a step; the first and the last step are of first order."""
    before: Tensor | None = None
    for step, (sigma, lower) in enumerate(pairwise(sigmas)):
        denoised = yield Point(latents, sigma, step)
        aim = denoised
        if before is not None and lower > 0:
            length, last_length = math.log(sigma / lower), math.log(sigmas[step - 1] / sigma)
            aim = denoised + length / (2 * last_length) * (denoised - before)
        latents = blend(latents, aim, sigma, lower)
        before = denoised
    return latents

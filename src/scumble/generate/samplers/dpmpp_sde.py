"""DPM++ SDE: DPM-Solver++(2S) (Lu et al. 2022, arXiv:2211.01095) for the reverse process with noise, in two half steps."""

import math
from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor

from scumble.generate.samplers.point import Noise, Point, Steps, ancestral, blend


def dpmpp_sde(latents: Tensor, sigmas: Sequence[float], noise: Noise) -> Steps:
    """Two questions a step, one in the last.

    The half step and the whole step follow one path of Brownian motion, whose time is sigma: the noise of the whole is
    that of its halves put together.
    """
    for step, (sigma, lower) in enumerate(pairwise(sigmas)):
        denoised = yield Point(latents, sigma, step)
        if lower == 0:
            return denoised
        middle = math.sqrt(sigma * lower)
        first, second = noise(), noise()
        whole = (math.sqrt(sigma - middle) * first + math.sqrt(middle - lower) * second) / math.sqrt(sigma - lower)
        down, added = ancestral(sigma, middle)
        denoised = yield Point(blend(latents, denoised, sigma, down) + added * first, middle, step)
        down, added = ancestral(sigma, lower)
        latents = blend(latents, denoised, sigma, down) + added * whole
    return latents

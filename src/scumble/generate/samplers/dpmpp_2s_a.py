"""DPM++ 2S a: the denoised latents in the middle of each step in log sigma, then fresh noise.

DPM-Solver++(2S), Lu et al. 2022, arXiv:2211.01095, algorithm 1, with the ancestral step of DDPM around it.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor

from scumble.generate.samplers.point import Noise, Point, Steps, ancestral, blend


def dpmpp_2s_ancestral(latents: Tensor, sigmas: Sequence[float], noise: Noise) -> Steps:
    """Two questions a step, one in the last."""
    for step, (sigma, lower) in enumerate(pairwise(sigmas)):
        denoised = yield Point(latents, sigma, step)
        if lower == 0:
            return denoised
        down, added = ancestral(sigma, lower)
        middle = math.sqrt(sigma * down)
        denoised = yield Point(blend(latents, denoised, sigma, middle), middle, step)
        latents = blend(latents, denoised, sigma, down) + added * noise()
    return latents

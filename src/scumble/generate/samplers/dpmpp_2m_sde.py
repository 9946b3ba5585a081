"""DPM++ 2M SDE: DPM-Solver++(2M) (Lu et al. 2022, arXiv:2211.01095) for the reverse process with noise.

Over a step of length h in log sigma, x falls to exp(-2h) of itself: exp(-h) because sigma does, and again exp(-h)
because noise is taken off that fresh noise replaces.
"""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

from torch import Tensor

from scumble.generate.samplers.point import Noise, Point, Steps


def dpmpp_2m_sde(latents: Tensor, sigmas: Sequence[float], noise: Noise) -> Steps:
    """One question a step; the change of the denoised latents counts as in the middle of the step."""
    return _two_steps(latents, sigmas, noise, lambda h: -math.expm1(-2 * h) / 2)


def dpmpp_2m_sde_heun(latents: Tensor, sigmas: Sequence[float], noise: Noise) -> Steps:
    """One question a step; the change of the denoised latents is integrated over the step."""
    return _two_steps(latents, sigmas, noise, lambda h: math.expm1(-2 * h) / (2 * h) + 1)


def _two_steps(latents: Tensor, sigmas: Sequence[float], noise: Noise, trust: Callable[[float], float]) -> Steps:
    """Args as of a sampler, and how much of a change over the step's length h counts."""
    before: Tensor | None = None
    for step, (sigma, lower) in enumerate(pairwise(sigmas)):
        denoised = yield Point(latents, sigma, step)
        if lower == 0:
            return denoised
        h = math.log(sigma / lower)
        latents = denoised + math.exp(-2 * h) * (latents - denoised)
        if before is not None:
            last_h = math.log(sigmas[step - 1] / sigma)
            latents = latents + trust(h) * h / last_h * (denoised - before)
        latents = latents + lower * math.sqrt(-math.expm1(-2 * h)) * noise()
        before = denoised
    return latents

"""Euler and Euler a: one straight step after the other (Karras et al. 2022, arXiv:2206.00364, algorithm 2 without churn).

On the timesteps of DDIM the first is DDIM with eta = 0 (Song et al. 2020, arXiv:2010.02502) and the second DDPM.
"""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor

from scumble.generate.samplers.point import Noise, Point, Steps, ancestral, blend


def euler(latents: Tensor, sigmas: Sequence[float], _noise: Noise) -> Steps:
    """Without noise on the way."""
    for step, (sigma, lower) in enumerate(pairwise(sigmas)):
        denoised = yield Point(latents, sigma, step)
        latents = blend(latents, denoised, sigma, lower)
    return latents


def euler_ancestral(latents: Tensor, sigmas: Sequence[float], noise: Noise) -> Steps:
    """With fresh noise after each step."""
    for step, (sigma, lower) in enumerate(pairwise(sigmas)):
        denoised = yield Point(latents, sigma, step)
        down, added = ancestral(sigma, lower)
        latents = blend(latents, denoised, sigma, down)
        if lower > 0:
            latents = latents + added * noise()
    return latents

"""DPM2 and DPM2 a: the slope in the middle of each step in log sigma (after DPM-Solver-2, Lu et al. 2022, arXiv:2206.00927)."""

import math
from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor

from scumble.generate.samplers.point import Noise, Point, Steps, ancestral, blend


def dpm_2(latents: Tensor, sigmas: Sequence[float], _noise: Noise) -> Steps:
    """Without noise on the way; two questions a step, one in the last."""
    for step, (sigma, lower) in enumerate(pairwise(sigmas)):
        latents = yield from _midpoint_step(latents, sigma, lower, step)
    return latents


def dpm_2_ancestral(latents: Tensor, sigmas: Sequence[float], noise: Noise) -> Steps:
    """With fresh noise after each step."""
    for step, (sigma, lower) in enumerate(pairwise(sigmas)):
        down, added = ancestral(sigma, lower)
        latents = yield from _midpoint_step(latents, sigma, down, step)
        if lower > 0:
            latents = latents + added * noise()
    return latents


def _midpoint_step(latents: Tensor, sigma: float, lower: float, step: int) -> Steps:
    denoised = yield Point(latents, sigma, step)
    if lower == 0:
        return denoised
    middle = math.sqrt(sigma * lower)
    halfway = blend(latents, denoised, sigma, middle)
    slope = (halfway - (yield Point(halfway, middle, step))) / middle
    return latents + (lower - sigma) * slope

"""LCM: denoise at once, add noise again, at each level (Luo et al. 2023, arXiv:2310.04378, algorithm 3)."""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor

from scumble.generate.samplers.point import Noise, Point, Steps


def lcm(latents: Tensor, sigmas: Sequence[float], noise: Noise) -> Steps:
    """One question a step."""
    for step, (sigma, lower) in enumerate(pairwise(sigmas)):
        latents = yield Point(latents, sigma, step)
        if lower > 0:
            latents = latents + lower * noise()
    return latents

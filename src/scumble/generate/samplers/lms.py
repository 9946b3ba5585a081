"""LMS: a polynomial through the last four slopes, integrated over the step (Adams-Bashforth on uneven steps)."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from torch import Tensor

from scumble.generate.samplers.point import Noise, Point, Steps

ORDER = 4


def lms(latents: Tensor, sigmas: Sequence[float], _noise: Noise) -> Steps:
    """One question a step."""
    slopes: list[Tensor] = []
    for step, (sigma, lower) in enumerate(pairwise(sigmas)):
        denoised = yield Point(latents, sigma, step)
        slopes = [(latents - denoised) / sigma, *slopes[: ORDER - 1]]
        levels = [sigmas[step - back] for back in range(len(slopes))]
        for slope, weight in zip(slopes, _integrals(levels, lower), strict=True):
            latents = latents + weight * slope
    return latents


def _integrals(levels: Sequence[float], lower: float) -> list[float]:
    """The integral from levels[0] to `lower` of each Lagrange polynomial: 1 at its own level, 0 at the others."""
    areas = []
    for own in levels:
        others = [level for level in levels if level != own]
        polynomial = np.polynomial.Polynomial.fromroots(others) if others else np.polynomial.Polynomial([1.0])
        area = polynomial.integ(lbnd=levels[0])(lower)
        areas.append(float(area / polynomial(own)))
    return areas

"""PLMS: the last four slopes in the fixed weights of even steps (Liu et al. 2022, arXiv:2202.09778)."""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor

from scumble.generate.samplers.point import Noise, Point, Steps

WEIGHTS = ((1.0,), (3 / 2, -1 / 2), (23 / 12, -16 / 12, 5 / 12), (55 / 24, -59 / 24, 37 / 24, -9 / 24))
"""Adams-Bashforth: of the newest slope first, for one to four slopes."""


def plms(latents: Tensor, sigmas: Sequence[float], _noise: Noise) -> Steps:
    """One question a step, two in the first, which takes the mean slope of its beginning and end."""
    slopes: list[Tensor] = []
    for step, (sigma, lower) in enumerate(pairwise(sigmas)):
        slope = (latents - (yield Point(latents, sigma, step))) / sigma
        slopes = [slope, *slopes[:3]]
        if step == 0 and lower > 0:
            predicted = latents + (lower - sigma) * slope
            slope_there = (predicted - (yield Point(predicted, lower, step))) / lower
            mean = (slope + slope_there) / 2
        else:
            mean = sum((weight * old for weight, old in zip(WEIGHTS[len(slopes) - 1], slopes, strict=True)), 0 * slope)
        latents = latents + (lower - sigma) * mean
    return latents

"""Heun: each step is corrected by the slope at its end (Karras et al. 2022, arXiv:2206.00364, algorithm 2 without churn)."""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor

from scumble.generate.samplers.point import Noise, Point, Steps, blend


def heun(latents: Tensor, sigmas: Sequence[float], _noise: Noise) -> Steps:
    """Two questions a step, one in the last."""
    for step, (sigma, lower) in enumerate(pairwise(sigmas)):
        latents = yield from heun_step(latents, sigma, lower, step)
    return latents


def heun_step(latents: Tensor, sigma: float, lower: float, step: int) -> Steps:
    """One step; at the end of the way, where the slope is not defined, Euler's."""
    denoised = yield Point(latents, sigma, step)
    predicted = blend(latents, denoised, sigma, lower)
    if lower == 0:
        return predicted
    slope = (latents - denoised) / sigma
    slope_there = (predicted - (yield Point(predicted, lower, step))) / lower
    return latents + (lower - sigma) * (slope + slope_there) / 2

"""Restart: Heun, and once or twice back up to a noisier level and down again (Xu et al. 2023, arXiv:2306.14878)."""

import math
from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor

from scumble.generate.samplers.heun import heun_step
from scumble.generate.samplers.point import Noise, Steps
from scumble.generate.samplers.schedules import karras

FROM, UP_TO = 0.1, 2.0
"""The level to go up from, and to; the nearest of the schedule are taken."""


def restart(latents: Tensor, sigmas: Sequence[float], noise: Noise) -> Steps:
    """As many steps as without; with fewer than 20 it is Heun. Of the levels only the ends count then."""
    at = sigmas[0]
    for step, (sigma, lower) in enumerate(_ways(sigmas)):
        if sigma > at:
            latents = latents + math.sqrt(sigma**2 - at**2) * noise()
        latents = yield from heun_step(latents, sigma, lower, step)
        at = lower
    return latents


def _ways(sigmas: Sequence[float]) -> list[tuple[float, float]]:
    """Every step's beginning and end."""
    steps = len(sigmas) - 1
    if steps < 20:
        return list(pairwise(sigmas))
    again, times = (steps // 4, 2) if steps >= 36 else (9, 1)
    levels = [*karras(sigmas[-2], sigmas[0], steps - again * times), 0.0]
    down = list(pairwise(levels))
    bottom = _nearest(levels, FROM)
    top = _nearest(levels, UP_TO)
    if top >= bottom:
        return down
    loop = list(pairwise(karras(levels[bottom], levels[top], again + 1)))
    return down[:bottom] + loop * times + down[bottom:]


def _nearest(levels: Sequence[float], wanted: float) -> int:
    return min(range(len(levels)), key=lambda index: abs(levels[index] - wanted))

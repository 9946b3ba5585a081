"""DPM++ 3M SDE: as DPM++ 2M SDE, with a parabola through the last three denoised latents.

The exponential integrator of third order (Hochbruck and Ostermann 2010, doi:10.1017/S0962492910000048) in log sigma.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor

from scumble.generate.samplers.point import Noise, Point, Steps


def dpmpp_3m_sde(latents: Tensor, sigmas: Sequence[float], noise: Noise) -> Steps:
    """One question a step; the first step is of first order, the second of second."""
    past: list[Tensor] = []
    for step, (sigma, lower) in enumerate(pairwise(sigmas)):
        denoised = yield Point(latents, sigma, step)
        if lower == 0:
            return denoised
        h = math.log(sigma / lower)
        lengths = [math.log(sigmas[step - back - 1] / sigmas[step - back]) for back in range(len(past))]
        latents = denoised + math.exp(-2 * h) * (latents - denoised)
        latents = latents + _bend([denoised, *past], h, lengths)
        latents = latents + lower * math.sqrt(-math.expm1(-2 * h)) * noise()
        past = [denoised, *past[:1]]
    return latents


def _bend(answers: Sequence[Tensor], h: float, lengths: Sequence[float]) -> Tensor | float:
    """What the denoised latents' change over a step adds to it.

    Args:
        answers: denoised latents, newest first, one to three.
        h: the step's length in log sigma.
        lengths: of the steps between the answers, newest first.
    """
    phi_2 = math.expm1(-2 * h) / (2 * h) + 1
    phi_3 = phi_2 / (2 * h) - 0.5
    slopes = [h / length * (new - old) for new, old, length in zip(answers, answers[1:], lengths, strict=False)]
    if not slopes:
        return 0.0
    if len(slopes) == 1:
        return phi_2 * slopes[0]
    newest, older = lengths[0] / h, lengths[1] / h
    change = (slopes[0] - slopes[1]) / (newest + older)
    return phi_2 * (slopes[0] + newest * change) - phi_3 * change

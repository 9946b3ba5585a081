"""UniPC: predict by the last answers, and correct each step once its end is known (Zhao et al. 2023, arXiv:2302.04867).

Third order, B(h) = h, which the authors call bh1 and the WebUI takes; data prediction.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from torch import Tensor

from scumble.generate.samplers.point import Noise, Point, Steps, blend

ORDER = 3


def unipc(latents: Tensor, sigmas: Sequence[float], _noise: Noise) -> Steps:
    """One question a step: the answer at a step's end corrects it, and serves the next. `sigmas` ends above 0."""
    corrected, order = latents, 0
    answers: list[Tensor] = []
    for step, (sigma, lower) in enumerate(pairwise(sigmas)):
        denoised = yield Point(latents, sigma, step)
        if step > 0:
            corrected = _step(corrected, [*answers[:order], denoised], [*_back(sigmas, step - 1, order), sigma], sigma)
        answers = [denoised, *answers[: ORDER - 1]]
        order = step + 1 if step < ORDER - 1 else min(ORDER, len(sigmas) - 1 - step)
        latents = _step(corrected, answers[:order], _back(sigmas, step, order), lower)
    return latents


def _back(sigmas: Sequence[float], step: int, number: int) -> list[float]:
    """The levels of the last answers, newest first."""
    return [sigmas[step - back] for back in range(number)]


def _step(latents: Tensor, answers: Sequence[Tensor], levels: Sequence[float], lower: float) -> Tensor:
    """From the first level to `lower`, by a polynomial through the answers.

    Args:
        latents: at the first level.
        answers: denoised latents.
        levels: where the answers were given.
        lower: where to go.
    """
    first, *others = answers
    h = math.log(levels[0] / lower)
    places = [math.log(levels[0] / level) / h for level in levels[1:]]
    slopes = [(other - first) / place for other, place in zip(others, places, strict=True)]
    bend = sum((weight * slope for weight, slope in zip(_weights(places, h), slopes, strict=True)), 0 * first)
    return blend(latents, first, levels[0], lower) + h * bend


def _weights(places: Sequence[float], h: float) -> list[float]:
    """How much each slope counts, so that polynomials are integrated exactly (equation 5 of the paper).

    One slope counts half, as the authors advise.
    """
    if len(places) < 2:
        return [0.5] * len(places)
    wanted, rest = [], math.expm1(-h) / -h
    for power in range(1, len(places) + 1):
        rest -= 1 / math.factorial(power)
        wanted.append(math.factorial(power) * rest / -h)
        rest /= -h
    powers = np.vander(places, increasing=True).T
    weights: list[float] = np.linalg.solve(powers, wanted).tolist()
    return weights

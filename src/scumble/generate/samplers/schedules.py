"""Schedules: which noise levels the steps go through, by the names of the WebUI's "Schedule type".

Each gives falling sigmas, one more than steps. Most end at 0, where nothing is left to remove.
"""

import math
from collections.abc import Callable, Mapping

import numpy as np

from scumble.generate.samplers.levels import Levels
from scumble.generate.samplers.names import LEADING, Sampler

RHO = 7.0
BETA = 0.6
"""Both parameters of the beta distribution."""


def uniform(levels: Levels, steps: int) -> list[float]:
    """Even in timesteps, from the last to the first."""
    return [*map(levels.sigma_at, np.linspace(levels.last_timestep, levels.timesteps[0], steps)), 0.0]


def sgm_uniform(levels: Levels, steps: int) -> list[float]:
    """Even in timesteps, from the last; the way to the first is the last step."""
    return [*map(levels.sigma_at, np.linspace(levels.last_timestep, levels.timesteps[0], steps + 1)[:-1]), 0.0]


def karras(lowest: float, highest: float, steps: int) -> list[float]:
    """Even in the seventh root of sigma, without the 0 (Karras et al. 2022, arXiv:2206.00364, equation 5)."""
    ramp = np.linspace(highest ** (1 / RHO), lowest ** (1 / RHO), steps)
    between = [float(root) ** RHO for root in ramp[1:-1]]
    return [highest, *between, lowest][:steps]  # exact ends, by which Restart sees where it goes up


def exponential(levels: Levels, steps: int) -> list[float]:
    """Even in log sigma."""
    return [*np.exp(np.linspace(math.log(levels.highest), math.log(levels.lowest), steps)).tolist(), 0.0]


def kl_optimal(levels: Levels, steps: int) -> list[float]:
    """Even in the arc tangent of sigma (Sabour et al. 2024, arXiv:2404.14507, equation 6); ends at the lowest level."""
    angles = np.linspace(math.atan(levels.highest), math.atan(levels.lowest), steps + 1)
    return [float(level) for level in np.tan(angles)]


def simple(levels: Levels, steps: int) -> list[float]:
    """Every n-th training level, from the last."""
    stride = len(levels.sigmas) / steps
    return [*(float(levels.sigmas[-(1 + int(step * stride))]) for step in range(steps)), 0.0]


def ddim(levels: Levels, steps: int) -> list[float]:
    """Every n-th training level, from the second lowest up; takes numbers of steps that divide the training's."""
    return [*reversed([float(level) for level in levels.sigmas[1 :: len(levels.sigmas) // steps]][:steps]), 0.0]


def beta(levels: Levels, steps: int) -> list[float]:
    """Quantiles of a beta distribution over sigma: dense at both ends (Lee et al. 2024, arXiv:2407.12173)."""
    from scipy.special import betaincinv  # type: ignore[import-untyped]

    shares = betaincinv(BETA, BETA, np.linspace(1, 0, steps))
    return [*(levels.lowest + shares * (levels.highest - levels.lowest)).tolist(), 0.0]


def trailing(levels: Levels, steps: int) -> list[float]:
    """Every n-th timestep counted from the last (Lin et al. 2023, arXiv:2305.08891, table 2): what a base may ask for."""
    stride = len(levels.sigmas) / steps
    return [*(levels.sigma_at(round(len(levels.sigmas) - step * stride) - 1) for step in range(steps)), 0.0]


def leading(levels: Levels, steps: int) -> list[float]:
    """Every n-th timestep counted from the second."""
    stride = len(levels.sigmas) // steps
    return [*(levels.sigma_at(step * stride + 1) for step in reversed(range(steps))), 0.0]


SCHEDULES: Mapping[str, Callable[[Levels, int], list[float]]] = {
    "Uniform": uniform,
    "Karras": lambda levels, steps: [*karras(levels.lowest, levels.highest, steps), 0.0],
    "Exponential": exponential,
    "Polyexponential": exponential,  # its exponent is 1 in the WebUI
    "SGM Uniform": sgm_uniform,
    "KL Optimal": kl_optimal,
    "Simple": simple,
    "Normal": uniform,
    "DDIM": ddim,
    "Beta": beta,
    LEADING: leading,
}
"""Name -> schedule."""


def sigmas_of(sampler: Sampler, schedule: str | None, levels: Levels, steps: int) -> list[float]:
    """The levels that a sampler goes through: falling, one more than steps.

    Args:
        sampler: how it is set up.
        schedule: a name in SCHEDULES; None = the base's trailing timesteps.
        levels: those of the base.
        steps: denoising steps.
    """
    if schedule is None:
        sigmas = trailing(levels, steps)
    elif sampler.skips_last_level:
        *sigmas, _, last = SCHEDULES[schedule](levels, steps + 1)
        sigmas.append(last)
    else:
        sigmas = SCHEDULES[schedule](levels, steps)
    return [*sigmas[:-1], levels.lowest] if sampler.ends_at_lowest else sigmas

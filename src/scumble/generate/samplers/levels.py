"""The noise levels that a base was trained on: sigma = noise over signal of each training timestep, and between them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

LEAST_SIGNAL = 4.8973451890853435e-08
"""What the WebUI takes for a last alpha-bar of 0, where sigma would be infinite."""
LCM_STRIDE = 20
"""LCMs are distilled on every so many of a base's timesteps (Luo et al. 2023, arXiv:2310.04378)."""


@dataclass(frozen=True)
class Levels:
    """Noise levels and their timesteps, both rising; logarithms of sigma are straight lines between them.

    Attributes:
        sigmas: [levels], > 0.
        timesteps: [levels], as the denoiser takes them.
        only_these: the denoiser knows these timesteps and none between them.
    """

    sigmas: NDArray[np.float64]
    timesteps: NDArray[np.float64]
    only_these: bool = False

    @classmethod
    def of(cls, scheduler_config: Mapping[str, Any]) -> Self:
        """Those of a base, by its scheduler's settings."""
        from diffusers.schedulers.scheduling_ddpm import DDPMScheduler

        signal = DDPMScheduler.from_config(dict(scheduler_config)).alphas_cumprod.double().numpy()
        signal = np.maximum(signal, LEAST_SIGNAL)
        return cls(np.sqrt((1 - signal) / signal), np.arange(len(signal), dtype=np.float64))

    def of_lcm(self) -> "Levels":
        """Those that an LCM was distilled on."""
        start = LCM_STRIDE - 1
        return Levels(self.sigmas[start::LCM_STRIDE], self.timesteps[start::LCM_STRIDE], only_these=True)

    @property
    def lowest(self) -> float:
        """The least sigma."""
        return float(self.sigmas[0])

    @property
    def highest(self) -> float:
        """The greatest sigma."""
        return float(self.sigmas[-1])

    @property
    def last_timestep(self) -> float:
        """The noisiest timestep."""
        return float(self.timesteps[-1])

    def sigma_at(self, timestep: float) -> float:
        """The noise level of a timestep, whole or not."""
        return float(np.exp(np.interp(timestep, self.timesteps, np.log(self.sigmas))))

    def timestep_at(self, sigma: float) -> float:
        """What the denoiser is told at a noise level; beyond the ends, that of the end."""
        if self.only_these:
            return float(self.timesteps[np.abs(np.log(self.sigmas) - np.log(sigma)).argmin()])
        return float(np.interp(np.log(sigma), np.log(self.sigmas), self.timesteps))

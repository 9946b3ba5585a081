"""Which timestep each sample is trained at, as a pure function of the seed and the position."""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from scumble.config.objective import ObjectiveConfig, TimestepSampling
from scumble.errors import ConfigError
from scumble.train import draws


@dataclass(frozen=True)
class Timesteps:
    """The distribution of the training timesteps.

    Attributes:
        alpha_bars: of every timestep of the schedule, [timesteps].
        first, end: timesteps from the first to the one before the end are trained.
        sampling: "uniform"; "logit_normal", whose share of the range has a normally distributed logit (Esser et al. 2024,
            arXiv:2403.03206, 3.1; 0 is no noise); "log_snr": log SNR is uniform between that of the first timestep and that of
            the last one that has any signal, and the nearest timestep is taken.
        logit_mean, logit_std: of the logit.
        strata: the shares of so many consecutive positions lie in equal parts of 0..1, one in each, in an order drawn for
            them; 1 = independent.
    """

    alpha_bars: Tensor
    first: int
    end: int
    sampling: TimestepSampling = "uniform"
    logit_mean: float = 0.0
    logit_std: float = 1.0
    strata: int = 1

    def at(self, seed: int, position: int) -> int:
        """The timestep of a position, in first..end-1."""
        if self.sampling == "uniform" and self.strata == 1:
            return self.first + draws.timestep_at(seed, position, self.end - self.first)
        share = float(torch.rand((), generator=draws.generator(seed, "timestep", position), dtype=torch.float64))
        if self.strata > 1:
            group, place = divmod(position, self.strata)
            order = torch.randperm(self.strata, generator=draws.generator(seed, "strata", group))
            share = (int(order[place]) + share) / self.strata
        return self.quantile(share)

    def quantile(self, share: float) -> int:
        """The timestep below which `share` of all draws lie, 0..1; rising from the least noise to the most."""
        if self.sampling == "log_snr":
            edges = self._edges
            value = edges[0] + share * (edges[-1] - edges[0])
            return self.first + min(int(torch.searchsorted(edges[1:], value, right=True)), len(edges) - 2)
        if self.sampling == "logit_normal":
            logit = self.logit_mean + self.logit_std * torch.special.ndtri(torch.tensor(share, dtype=torch.float64))
            share = float(torch.sigmoid(logit))
        return min(self.first + int(share * (self.end - self.first)), self.end - 1)

    @cached_property
    def _edges(self) -> Tensor:
        """Where one timestep's part of -log SNR ends and the next one's begins, float64 [trained timesteps + 1]."""
        alpha_bars = self.alpha_bars[self.first : self.end].double()
        falling = -torch.logit(alpha_bars[alpha_bars > 0])
        return torch.cat([falling[:1], (falling[1:] + falling[:-1]) / 2, falling[-1:]])


def timesteps_of(objective: ObjectiveConfig, alpha_bars: Tensor, samples_a_step: int) -> Timesteps:
    """The timesteps that the settings choose.

    Args:
        objective: the settings.
        alpha_bars: of the base's schedule, [timesteps].
        samples_a_step: of an optimizer step.
    Raises:
        ConfigError: the schedule is shorter than the settings say, or no timestep with any signal is left.
    """
    length = len(alpha_bars)
    for name, most in (("min_timestep", length - 1), ("max_timestep", length)):
        value = getattr(objective, name)
        if value is not None and value > most:
            raise ConfigError(f"{name}={value} in [objective]: this base has {length} timesteps: {most} at most")
    timesteps = Timesteps(
        alpha_bars=alpha_bars,
        first=objective.min_timestep,
        end=objective.max_timestep or length,
        sampling=objective.timestep_sampling,
        logit_mean=objective.logit_mean or 0.0,
        logit_std=objective.logit_std or 1.0,
        strata=samples_a_step if objective.stratified_timesteps else 1,
    )
    if objective.timestep_sampling == "log_snr" and not (alpha_bars[timesteps.first] > 0):
        raise ConfigError(
            "timestep_sampling='log_snr' in [objective]: the only timestep from min_timestep on is pure noise, which has no log "
            "SNR; lower min_timestep"
        )
    return timesteps

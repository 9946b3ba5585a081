"""The reverse process step by step: from noise, or from a picture with noise on it, to latents.

Shapes: B pictures, C latent channels, H W latent height and width.
"""

import inspect
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from scumble.families.base import BaseModel, TextState

Watch = Callable[[int, Tensor], None]
"""Called with the number of finished steps and the latents [B, C, H, W] at that moment, scaled as pictures' are."""

MOST_STRENGTH = 0.999
"""The WebUI takes 1 for this."""


@dataclass(frozen=True)
class Start:
    """Pictures to start from.

    Attributes:
        latents: [B, C, H, W], scaled as the autoencoder gives them.
        skipped: steps at the noisy end of the schedule that are not taken.
    """

    latents: Tensor
    skipped: int


def steps_of_strength(steps: int, strength: float) -> int:
    """How many of the schedule's last steps img2img takes: one more than strength x steps, rounded down, as the WebUI does.

    Args:
        steps: of the whole schedule.
        strength: above 0, at most 1.
    """
    return int(min(strength, MOST_STRENGTH) * steps) + 1


def schedule_of_strength(steps: int, strength: float) -> int:
    """Steps of a whole schedule of which the last `steps` add as much noise as `strength` says: the WebUI's hires pass."""
    return int(steps / min(strength, MOST_STRENGTH))


@dataclass(frozen=True)
class Guidance:
    """What steers the denoiser.

    Attributes:
        positive: batched text states to draw.
        negative: batched text states to keep away from.
        scale: classifier-free guidance; 1 = none, and then one pass of the denoiser a step.
    """

    positive: TextState
    negative: TextState
    scale: float

    def predict(self, base: BaseModel, denoiser: nn.Module, noisy: Tensor, timestep: Tensor) -> Tensor:
        """The denoiser's guided output for noisy latents, [B, C, H, W]."""
        timesteps = timestep.to(noisy.device).expand(len(noisy))
        if base.is_told_guidance:
            return base.predict(denoiser, noisy, timesteps, self.positive, self.scale)
        if self.scale <= 1:
            return base.predict(denoiser, noisy, timesteps, self.positive)
        both = {name: torch.cat([self.negative[name], self.positive[name]]) for name in self.positive}
        away, towards = base.predict(denoiser, noisy.repeat(2, 1, 1, 1), timesteps.repeat(2), both).chunk(2)
        return away + self.scale * (towards - away)


@torch.no_grad()
def denoise(
    predict: Callable[[Tensor, Tensor], Tensor],
    scheduler: Any,
    noise: Tensor,
    generators: Sequence[torch.Generator],
    *,
    start: Start | None = None,
    watch: Watch | None = None,
) -> Tensor:
    """Take the steps of a schedule: [B, C, H, W], in the dtype of the noise.

    Args:
        predict: the guided denoiser: noisy latents as it takes them, and a timestep.
        scheduler: a diffusers scheduler whose timesteps are set.
        noise: [B, C, H, W] of variance 1.
        generators: one a picture, for the noise that some samplers add.
        start: what the noise is laid over; None = noise alone, from the beginning of the schedule.
        watch: sees the latents before the first step and after each.
    """
    begin = 0 if start is None else start.skipped * scheduler.order
    timesteps = scheduler.timesteps[begin:]
    latents = noise * scheduler.init_noise_sigma if start is None else _noised(scheduler, start.latents, noise, begin)
    takes_generator = "generator" in inspect.signature(scheduler.step).parameters
    random = {"generator": list(generators)} if takes_generator else {}
    if watch is not None:
        watch(0, noise.float() if start is None else _at_picture_scale(scheduler, latents, begin))
    for index, timestep in enumerate(timesteps, 1):
        output = predict(scheduler.scale_model_input(latents, timestep), timestep)
        latents = scheduler.step(output, timestep, latents, **random, return_dict=False)[0]
        if watch is not None and (index % scheduler.order == 0 or index == len(timesteps)):
            watch(math.ceil(index / scheduler.order), _at_picture_scale(scheduler, latents, begin + index))
    return latents


def _noised(scheduler: Any, latents: Tensor, noise: Tensor, begin: int) -> Tensor:
    """Latents under as much noise as the schedule has at its place `begin`, which becomes its first."""
    if hasattr(scheduler, "set_begin_index"):
        scheduler.set_begin_index(begin)
    timesteps = scheduler.timesteps[begin : begin + 1].repeat(len(noise))
    noised: Tensor = scheduler.add_noise(latents.to(noise), noise, timesteps)
    return noised


def _at_picture_scale(scheduler: Any, latents: Tensor, index: int) -> Tensor:
    """Noisy latents x0 + sigma * noise, as the Euler samplers keep them, brought to the variance of the noise.

    Args:
        index: of their sigma in the schedule.
    """
    if float(scheduler.init_noise_sigma) == 1.0:
        return latents.float()
    sigma = float(scheduler.sigmas[index])
    return latents.float() / math.sqrt(1 + sigma**2)


def batched(states: Sequence[TextState]) -> TextState:
    """Text states as one, with a batch dimension."""
    return {name: torch.stack([state[name] for state in states]) for name in states[0]}

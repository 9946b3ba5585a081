"""The reverse process step by step: from noise, or from a picture with noise on it, to latents.

Shapes: B pictures, C latent channels, H W latent height and width.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from scumble.families.base import BaseModel, TextState
from scumble.generate.samplers.driver import Driver

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
    sampler: Driver,
    noise: Tensor,
    generators: Sequence[torch.Generator],
    *,
    start: Start | None = None,
    watch: Watch | None = None,
) -> Tensor:
    """Take the steps of a sampler: [B, C, H, W], in the dtype of the noise.

    Args:
        predict: the guided denoiser: noisy latents as it takes them, and a timestep.
        sampler: with the steps planned that are to be taken.
        noise: [B, C, H, W] of variance 1.
        generators: one a picture, for the noise that some samplers add.
        start: what the noise is laid over; None = noise alone.
        watch: sees the latents before the first step and after each.
    """
    latents = noise * sampler.init_noise_sigma if start is None else sampler.noised(start.latents.to(noise), noise)
    skipped = 0 if start is None else start.skipped
    if watch is not None:
        watch(0, sampler.at_picture_scale(latents.float()) if skipped else noise.float())
    for timestep in sampler.timesteps:
        output = predict(sampler.scale_model_input(latents, timestep), timestep)
        latents = sampler.step(output, timestep, latents, generators)[0]
        if watch is not None and not sampler.is_between:
            watch(sampler.finished - skipped, sampler.at_picture_scale(latents.float()))
    return latents


def batched(states: Sequence[TextState]) -> TextState:
    """Text states as one, with a batch dimension."""
    return {name: torch.stack([state[name] for state in states]) for name in states[0]}

"""The drawing itself: from text states and seeds to latents, and from latents to pictures.

Shapes: B pictures, C latent channels, H W latent height and width.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn

from scumble.errors import ConfigError, ScumbleError
from scumble.families.base import Autoencoder, BaseModel, TextState, pixels_to_image
from scumble.generate.samplers import find_sampler, make_sampler

Watch = Callable[[int, Tensor], None]
"""Called with the number of finished steps and the latents [B, C, H, W] at that moment, scaled as pictures' are."""


@dataclass(frozen=True)
class Settings:
    """How to draw.

    Attributes:
        width: in pixels.
        height: in pixels.
        steps: denoising steps.
        guidance_scale: classifier-free guidance; 1 = none, and then one pass of the denoiser a step.
        sampler: WebUI name.
    """

    width: int
    height: int
    steps: int = 25
    guidance_scale: float = 7.0
    sampler: str = "Euler a"


def check_size(base: BaseModel, width: int, height: int) -> None:
    """Raise if the base cannot draw this size.

    Raises:
        ConfigError: width or height is no multiple of what a latent is wide.
    """
    grid = max(8, base.pixels_per_latent)  # 8: diffusers' pipelines refuse other sizes
    for name, size in (("width", width), ("height", height)):
        if size % grid:
            below = max(size // grid, 1) * grid
            raise ConfigError(f"{name}={size}: must be a multiple of {grid}; {below} and {below + grid} are near")


def draw_latents(
    base: BaseModel,
    denoiser: nn.Module,
    positive: Sequence[TextState],
    negative: Sequence[TextState],
    seeds: Sequence[int],
    settings: Settings,
    watch: Watch | None = None,
) -> Tensor:
    """Draw one batch: [B, C, H, W], float32, scaled as the autoencoder takes them.

    A picture's noise, and what an ancestral sampler adds, come from its own CPU generator: they depend on its seed
    alone, not on the device or its place in the batch.

    Args:
        base: the opened base model.
        denoiser: loaded, with or without adapters; its device and dtype are used.
        positive: B text states to draw.
        negative: B text states to keep away from.
        seeds: B seeds.
        settings: size, steps, guidance and sampler.
        watch: sees the noise and the latents after each step.
    Raises:
        ConfigError: unknown sampler, or a size or number of steps that cannot be.
        ScumbleError: a number that is not finite came out.
    """
    assert len(positive) == len(negative) == len(seeds) > 0
    find_sampler(settings.sampler, settings.steps)
    check_size(base, settings.width, settings.height)
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    weight = next(denoiser.parameters())
    noise = draw_noise(base, generators, settings).to(weight)
    if watch is not None:
        watch(0, noise.float())
    pipeline = base.pipeline(denoiser, make_sampler(settings.sampler, base.scheduler_config()))
    latents: Tensor = pipeline(
        **base.pipeline_inputs(positive, negative),
        width=settings.width,
        height=settings.height,
        num_inference_steps=settings.steps,
        guidance_scale=settings.guidance_scale,
        generator=generators,
        latents=noise,
        output_type="latent",
        callback_on_step_end=watch and _watching(watch),
    ).images
    _refuse_non_finite(latents, settings.sampler)
    return latents.float()


def draw_noise(base: BaseModel, generators: Sequence[torch.Generator], settings: Settings) -> Tensor:
    """The noise that pictures start from, one generator each: [B, C, H, W], float32, on the CPU."""
    shape = (
        1,
        base.latent_channels,
        settings.height // base.pixels_per_latent,
        settings.width // base.pixels_per_latent,
    )
    return torch.cat([torch.randn(shape, generator=generator) for generator in generators])


def decode_images(autoencoder: Autoencoder, latents: Tensor) -> list[Image.Image]:
    """Latents [B, C, H, W] as RGB pictures, decoded one at a time to spare memory."""
    return [pixels_to_image(autoencoder.decode(latent[None])[0]) for latent in latents]


def _refuse_non_finite(latents: Tensor, sampler: str) -> None:
    if not torch.isfinite(latents).all():
        raise ScumbleError(
            f"drawing with {sampler} in {latents.dtype} gave numbers that are not finite: "
            "try mixed_precision = 'no' (or bf16), or a smaller LoRA weight"
        )


def _watching(watch: Watch) -> Callable[[Any, int, Any, dict[str, Tensor]], dict[str, Tensor]]:
    """A diffusers callback that only looks."""

    def callback(pipeline: Any, index: int, _timestep: Any, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        watch(index + 1, _at_picture_scale(pipeline.scheduler, tensors["latents"].float()))
        return tensors

    return callback


def _at_picture_scale(scheduler: Any, latents: Tensor) -> Tensor:
    """Noisy latents x0 + sigma * noise, as the Euler samplers keep them, brought to the variance of the noise."""
    if float(scheduler.init_noise_sigma) == 1.0:
        return latents
    sigma = float(scheduler.sigmas[scheduler.step_index])
    return latents / math.sqrt(1 + sigma**2)

"""The drawing itself: from text states and seeds to latents, and from latents to pictures.

Shapes: B pictures, C latent channels, H W latent height and width.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from PIL import Image
from torch import Tensor, nn

from scumble.data.pictures import fit
from scumble.errors import ConfigError, ScumbleError
from scumble.families.base import Autoencoder, BaseModel, TextState, pixels_to_image
from scumble.generate.denoise import Guidance, Start, Watch, batched, denoise
from scumble.generate.samplers import find_sampler, make_sampler


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
    grid = size_grid(base)
    for name, size in (("width", width), ("height", height)):
        if size % grid:
            below = max(size // grid, 1) * grid
            raise ConfigError(f"{name}={size}: must be a multiple of {grid}; {below} and {below + grid} are near")


def size_grid(base: BaseModel) -> int:
    """What width and height must be a multiple of, in pixels."""
    return max(8, base.pixels_per_latent)  # 8: diffusers' pipelines and the WebUI refuse other sizes


def draw_latents(
    base: BaseModel,
    denoiser: nn.Module,
    positive: Sequence[TextState],
    negative: Sequence[TextState],
    seeds: Sequence[int],
    settings: Settings,
    watch: Watch | None = None,
    *,
    start: Start | None = None,
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
        start: pictures to start from, and the steps to leave out; None = noise alone.
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
    sampler = make_sampler(settings.sampler, base.scheduler_config())
    sampler.set_timesteps(settings.steps, weight.device, first_step=0 if start is None else start.skipped)
    guidance = Guidance(_moved(positive, weight), _moved(negative, weight), settings.guidance_scale)

    def predict(noisy: Tensor, timestep: Tensor) -> Tensor:
        return guidance.predict(base, denoiser, noisy, timestep)

    latents = denoise(predict, sampler, noise, generators, start=start, watch=watch)
    _refuse_non_finite(latents, settings.sampler)
    return latents.float()


def _moved(states: Sequence[TextState], weight: Tensor) -> TextState:
    """Text states batched, with the device and dtype of a weight."""
    return {name: tensor.to(weight) for name, tensor in batched(states).items()}


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


def encode_images(
    autoencoder: Autoencoder, images: Sequence[Image.Image], size_px: tuple[int, int], device: torch.device
) -> Tensor:
    """RGB pictures, cut to a size, as latents [B, C, H, W], float32; one at a time to spare memory.

    They are the mean of what the autoencoder says, where the WebUI draws at random: a picture always gives the same latents.
    """
    pixels = (fit(image, size_px)[None].to(device) for image in images)
    return torch.cat([autoencoder.encode(each)[0] for each in pixels])


def _refuse_non_finite(latents: Tensor, sampler: str) -> None:
    if not torch.isfinite(latents).all():
        raise ScumbleError(
            f"drawing with {sampler} in {latents.dtype} gave numbers that are not finite: "
            "try mixed_precision = 'no' (or bf16), or a smaller LoRA weight"
        )

"""AutoencoderKL with its scaling: what goes in and comes out is what the denoiser works on."""

from typing import Any

import torch
from torch import Tensor


class KlAutoencoder:
    """An autoencoder in float32: SDXL's own weights give NaN in float16.

    Args:
        model: a diffusers AutoencoderKL, frozen.
        scale: of the latents.
    """

    def __init__(self, model: Any, scale: float) -> None:
        self.model = model
        self.scale = scale

    @torch.no_grad()
    def encode(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of the scaled latents: [B, 3, h, w] -> two of [B, C, H, W]."""
        posterior = self.model.encode(pixels).latent_dist
        return posterior.mean * self.scale, posterior.std * self.scale

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        """[B, C, H, W] -> pixels [B, 3, h, w]."""
        pixels: Tensor = self.model.decode(latents.float() / self.scale).sample
        return pixels

"""The noise of each sample, as a pure function of the seed and the position.

Shapes: C latent channels, H W latent height and width.
"""

from dataclasses import dataclass

import torch
from torch import Generator, Tensor
from torch.nn.functional import interpolate

from scumble.config.objective import ObjectiveConfig
from scumble.train import draws

MULTIRES_DISCOUNT = 0.3


@dataclass(frozen=True)
class Noise:
    """How pictures are noised.

    Attributes:
        offset: deviation of the constant noise of each channel (Guttenberg 2023, "Diffusion with Offset Noise").
        multires_iterations: sizes of noise that are summed up; 0 = one.
        multires_discount: how much weaker each coarser noise is.
        perturbation: deviation of the further noise that is shown but not asked for.
    """

    offset: float = 0.0
    multires_iterations: int = 0
    multires_discount: float = MULTIRES_DISCOUNT
    perturbation: float = 0.0

    def at(self, seed: int, position: int, shape: tuple[int, ...]) -> Tensor:
        """The noise that the denoiser is asked for, [C, H, W]."""
        source = draws.generator(seed, "noise", position)
        noise = torch.randn(shape, generator=source)
        if self.offset > 0:
            noise = noise + self.offset * torch.randn((shape[0], 1, 1), generator=source)
        if self.multires_iterations > 0:
            noise = pyramid(noise, self.multires_iterations, self.multires_discount, source)
        return noise

    def perturbation_at(self, seed: int, position: int, shape: tuple[int, ...]) -> Tensor:
        """What the shown noise has besides, [C, H, W] (Ning et al. 2023, arXiv:2301.11706).

        The denoiser is shown x_t with the noise e + gamma z, and asked for e: it learns to stand its own errors.
        """
        return self.perturbation * torch.randn(shape, generator=draws.generator(seed, "perturbation", position))


def noise_of(objective: ObjectiveConfig) -> Noise:
    """The noise that the settings choose."""
    return Noise(
        objective.noise_offset,
        objective.multires_noise_iterations or 0,
        objective.multires_noise_discount or MULTIRES_DISCOUNT,
        objective.input_perturbation,
    )


def pyramid(noise: Tensor, iterations: int, discount: float, source: Generator) -> Tensor:
    """Noise of several sizes, scaled to deviation 1 (Whitaker 2023, "Multi-Resolution Noise for Diffusion Model Training").

    To the fine noise come ever coarser ones, the i-th smaller than the one before by r^i with r drawn from 2..4, enlarged to
    the full size and weakened by discount^i, until one has a side of 1.

    Args:
        noise: the finest, [C, H, W].
        iterations: most sizes that are added, the first of which is full.
        discount: in (0, 1].
        source: of chance.
    """
    channels, full_height, full_width = noise.shape
    height, width = full_height, full_width
    for power in range(iterations):
        ratio = (2 + 2 * float(torch.rand((), generator=source))) ** power
        height, width = max(1, int(height / ratio)), max(1, int(width / ratio))
        coarse = torch.randn((1, channels, height, width), generator=source)
        noise = noise + discount**power * interpolate(coarse, (full_height, full_width), mode="bilinear")[0]
        if height == 1 or width == 1:
            break
    return noise / noise.std()

"""How a sampler is written: a generator that asks for the denoiser's answer wherever it needs it.

All samplers work on x = x0 + sigma * noise, whatever the base calls its latents (Karras et al. 2022, arXiv:2206.00364).
Written so, a sampler's mathematics stands in one piece, and whoever drives it may be a loop, a batch or a test.
"""

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Point:
    """A question: what does the denoiser make of these latents?

    Attributes:
        latents: x0 + sigma * noise, [B, C, H, W].
        sigma: standard deviation of their noise.
        finished: whole steps taken so far.
    """

    latents: Tensor
    sigma: float
    finished: int


Noise = Callable[[], Tensor]
"""Draws fresh normal noise of the latents' shape."""

Steps = Generator[Point, Tensor, Tensor]
"""Yields where the denoiser is asked, is sent the denoised latents [B, C, H, W], returns the last latents."""

Function = Callable[[Tensor, Sequence[float], Noise], Steps]
"""A sampler: first latents, falling noise levels (one more than steps), and where noise comes from."""


def blend(latents: Tensor, denoised: Tensor, sigma: float, lower: float) -> Tensor:
    """Go straight from sigma to a lower noise level, as if `denoised` stayed what it is.

    It is an Euler step in sigma, and the exponential integrator's first-order step in log sigma: both are this line.
    """
    return denoised + (lower / sigma) * (latents - denoised)


def ancestral(sigma: float, lower: float) -> tuple[float, float]:
    """How DDPM goes to a lower level (Ho et al. 2020, arXiv:2006.11239): remove noise below it, add some again.

    Returns:
        The level to go down to, and the noise to add there; their squares add up to that of `lower`.
    """
    down = lower**2 / sigma
    return down, max(lower**2 - down**2, 0.0) ** 0.5

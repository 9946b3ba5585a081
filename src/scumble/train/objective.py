"""What is minimised: the denoiser's error on noised latents.

Shapes: B batch, C latent channels, H W latent height and width. alpha_bar is the schedule's cumulative product.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from scumble.errors import ConfigError
from scumble.families.base import PredictionType
from scumble.train.batches import Batch


@dataclass(frozen=True)
class Objective:
    """What is minimised, with the schedule it is measured on.

    Attributes:
        prediction_type: what the denoiser says.
        alpha_bars: [timesteps], on the training device.
        snr_gamma: of the min-SNR weight; None = all timesteps weigh the same.
    """

    prediction_type: PredictionType
    alpha_bars: Tensor
    snr_gamma: float | None = None

    def noisy(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """What the denoiser is shown, [B, C, H, W]."""
        return add_noise(latents, noise, self.alpha_bars[timesteps])

    def losses(self, prediction: Tensor, batch: Batch) -> Tensor:
        """The loss of each sample, unweighted, float32 [B].

        Args:
            prediction: what the denoiser said, [B, C, H, W].
            batch: what it was asked, on the same device.
        """
        target = target_of(self.prediction_type, batch.latents, batch.noise, self.alpha_bars[batch.timesteps])
        return sample_losses(prediction, target, batch.masks)

    def weights(self, batch: Batch) -> Tensor:
        """The weight of each sample's loss in training, [B]."""
        if self.snr_gamma is None:
            return batch.weights
        return batch.weights * snr_weight(self.alpha_bars[batch.timesteps], self.snr_gamma, self.prediction_type)


def add_noise(latents: Tensor, noise: Tensor, alpha_bar: Tensor) -> Tensor:
    """x_t = sqrt(alpha_bar) x_0 + sqrt(1 - alpha_bar) noise (Ho et al. 2020, arXiv:2006.11239, eq. 4).

    Args:
        latents: x_0, [B, C, H, W].
        noise: [B, C, H, W].
        alpha_bar: of each sample's timestep, [B].
    """
    signal, deviation = _weights(alpha_bar)
    return signal * latents + deviation * noise


def target_of(prediction_type: PredictionType, latents: Tensor, noise: Tensor, alpha_bar: Tensor) -> Tensor:
    """What the denoiser should say, [B, C, H, W]: the noise, or the velocity
    v = sqrt(alpha_bar) noise - sqrt(1 - alpha_bar) x_0 (Salimans & Ho 2022, arXiv:2202.00512, app. D).
    """
    if prediction_type == "epsilon":
        return noise
    signal, deviation = _weights(alpha_bar)
    return signal * noise - deviation * latents


def snr_weight(alpha_bar: Tensor, gamma: float, prediction_type: PredictionType) -> Tensor:
    """Min-SNR loss weight (Hang et al. 2023, arXiv:2303.09556).

    Args:
        alpha_bar: of each sample's timestep, [B].
        gamma: ceiling of the signal-to-noise ratio, > 0.
        prediction_type: the weight is min(snr, gamma) / snr for epsilon and min(snr, gamma) / (snr + 1) for v.
    Returns:
        Weights [B] in (0, 1].
    Raises:
        ConfigError: gamma is not positive.
    """
    if gamma <= 0:
        raise ConfigError(f"snr_gamma={gamma}: must be above 0; 5 is usual")
    snr = alpha_bar / (1 - alpha_bar)
    return snr.clamp(max=gamma) / (snr if prediction_type == "epsilon" else snr + 1)


def sample_losses(prediction: Tensor, target: Tensor, masks: Tensor | None = None) -> Tensor:
    """Mean squared error of each sample in float32.

    Args:
        prediction, target: [B, C, H, W].
        masks: what counts, [B, 1, H, W] in 0..1: the mean is weighted with it, so that a small mask weighs no less than
            a large one; None = everything.
    Returns:
        [B].
    """
    squares = (prediction.float() - target.float()).square()
    if masks is None:
        return squares.mean(dim=(1, 2, 3))
    return (squares.mean(dim=1, keepdim=True) * masks).sum(dim=(1, 2, 3)) / masks.sum(dim=(1, 2, 3))


def _weights(alpha_bar: Tensor) -> tuple[Tensor, Tensor]:
    alpha_bar = alpha_bar.view(-1, 1, 1, 1)
    return alpha_bar.sqrt(), torch.sqrt(1 - alpha_bar)

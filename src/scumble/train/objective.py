"""What is minimised: the denoiser's error on noised latents.

Shapes: B batch, C latent channels, H W latent height and width. alpha_bar is the schedule's cumulative product.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from scumble.config.objective import ObjectiveConfig
from scumble.errors import ConfigError
from scumble.families.base import PredictionType
from scumble.train.batches import Batch
from scumble.train.losses import PLAIN, Loss, loss_of, sample_means
from scumble.train.weighting import Weighting, weighting_of

NEEDED_PREDICTION: dict[str, PredictionType] = {
    "v_pred_like_loss": "epsilon",
    "scale_v_pred_loss_like_noise_pred": "v_prediction",
}
"""Weighting -> what the base has to predict."""


@dataclass(frozen=True)
class Objective:
    """What is minimised, with the schedule it is measured on.

    Attributes:
        prediction_type: what the denoiser says.
        alpha_bars: [timesteps], on the training device.
        loss: how errors count.
        weighting: how timesteps weigh; None = all the same.
    """

    prediction_type: PredictionType
    alpha_bars: Tensor
    loss: Loss = PLAIN
    weighting: Weighting | None = None

    def noisy(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """What the denoiser is shown, [B, C, H, W]."""
        return add_noise(latents, noise, self.alpha_bars[timesteps])

    def plain_losses(self, prediction: Tensor, batch: Batch) -> Tensor:
        """The mean squared error of each sample, unweighted, float32 [B]: it means the same whatever is minimised.

        Args:
            prediction: what the denoiser said, [B, C, H, W].
            batch: what it was asked, on the same device.
        """
        return self._losses(prediction, batch, PLAIN)

    def losses(self, prediction: Tensor, batch: Batch) -> Tensor:
        """What is minimised: the loss of each sample, weighted, float32 [B].

        Args:
            prediction: what the denoiser said, [B, C, H, W].
            batch: what it was asked, on the same device.
        """
        weights = batch.weights
        if self.weighting is not None:
            weights = weights * self.weighting.weights(self.alpha_bars[batch.timesteps], self.prediction_type)
        return weights * self._losses(prediction, batch, self.loss)

    def _losses(self, prediction: Tensor, batch: Batch, loss: Loss) -> Tensor:
        target = target_of(self.prediction_type, batch.latents, batch.noise, self.alpha_bars[batch.timesteps])
        errors = loss.errors(prediction.float() - target.float(), batch.timesteps, self.alpha_bars)
        return sample_means(errors, batch.masks)


def objective_of(objective: ObjectiveConfig, prediction_type: PredictionType, alpha_bars: Tensor) -> Objective:
    """The objective that the settings choose.

    Args:
        objective: the settings.
        prediction_type: what the base predicts.
        alpha_bars: of its schedule, [timesteps], on the training device.
    Raises:
        ConfigError: the weighting is for bases that predict the other thing.
    """
    weighting = weighting_of(objective)
    needed = None if weighting is None else NEEDED_PREDICTION.get(weighting.kind)
    if weighting is not None and needed not in (None, prediction_type):
        raise ConfigError(
            f"{weighting.kind} in [objective] is for bases that predict {needed}, and this one predicts {prediction_type}: "
            "leave it out"
        )
    return Objective(prediction_type, alpha_bars, loss_of(objective), weighting)


def add_noise(latents: Tensor, noise: Tensor, alpha_bar: Tensor) -> Tensor:
    """x_t = sqrt(alpha_bar) x_0 + sqrt(1 - alpha_bar) noise (Ho et al. 2020, arXiv:2006.11239, eq. 4).

    Args:
        latents: x_0, [B, C, H, W].
        noise: [B, C, H, W].
        alpha_bar: of each sample's timestep, [B].
    """
    signal, deviation = _shares(alpha_bar)
    return signal * latents + deviation * noise


def target_of(prediction_type: PredictionType, latents: Tensor, noise: Tensor, alpha_bar: Tensor) -> Tensor:
    """What the denoiser should say, [B, C, H, W]: the noise, or the velocity
    v = sqrt(alpha_bar) noise - sqrt(1 - alpha_bar) x_0 (Salimans & Ho 2022, arXiv:2202.00512, app. D).
    """
    if prediction_type == "epsilon":
        return noise
    signal, deviation = _shares(alpha_bar)
    return signal * noise - deviation * latents


def _shares(alpha_bar: Tensor) -> tuple[Tensor, Tensor]:
    alpha_bar = alpha_bar.view(-1, 1, 1, 1)
    return alpha_bar.sqrt(), torch.sqrt(1 - alpha_bar)

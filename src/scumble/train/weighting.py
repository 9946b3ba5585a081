"""How much each timestep weighs in the loss.

Every weighting is a weight w(SNR) of the squared error of the clean latents x_0, where SNR = alpha_bar / (1 - alpha_bar). The
error of the noise is SNR times that of x_0, the error of v is SNR + 1 times: so the weight of the loss is w / SNR for a
denoiser that predicts the noise, w / (SNR + 1) for one that predicts v. The latter is finite in pure noise, where SNR is 0; to
predict noise from pure noise is refused by the base (zero-terminal SNR).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from scumble.config.objective import ObjectiveConfig
from scumble.families.base import PredictionType


@dataclass(frozen=True)
class Weighting:
    """A weighting and its strength.

    Attributes:
        kind: name of the setting that asks for it.
        strength: what it was set to; 1 where it is only on or off.
    """

    kind: str
    strength: float

    def weights(self, alpha_bar: Tensor, prediction_type: PredictionType) -> Tensor:
        """The weight of each sample's loss, [B].

        Args:
            alpha_bar: of each sample's timestep, [B].
            prediction_type: what the denoiser says.
        """
        snr = alpha_bar / (1 - alpha_bar)
        return CLEAN_WEIGHTS[self.kind](snr, self.strength) / (snr if prediction_type == "epsilon" else snr + 1)


def weighting_of(objective: ObjectiveConfig) -> Weighting | None:
    """The weighting that the settings choose; None = all timesteps weigh the same."""
    kind = objective.weighting
    return None if kind is None else Weighting(kind, float(getattr(objective, kind)))


def min_snr(snr: Tensor, gamma: float) -> Tensor:
    """min(SNR, gamma) (Hang et al. 2023, arXiv:2303.09556)."""
    return snr.clamp(max=gamma)


def soft_min_snr(snr: Tensor, gamma: float) -> Tensor:
    """SNR gamma / (SNR + gamma), min-SNR without its edge (Crowson et al. 2024, arXiv:2401.11605)."""
    return snr * gamma / (snr + gamma)


def debiased(snr: Tensor, _strength: float = 1.0) -> Tensor:
    """sqrt(SNR): 1 / sqrt(SNR) on the error of the noise (Yu et al. 2023, arXiv:2310.08442)."""
    return torch.sqrt(snr)


def with_v_error(snr: Tensor, share: float) -> Tensor:
    """The error of the noise and `share` times that of v (kohya's v_pred_like_loss)."""
    return snr + share * (snr + 1)


def noise_error(snr: Tensor, _strength: float = 1.0) -> Tensor:
    """The error of the noise (kohya's scale_v_pred_loss_like_noise_pred)."""
    return snr


CLEAN_WEIGHTS: Mapping[str, Callable[[Tensor, float], Tensor]] = {
    "snr_gamma": min_snr,
    "soft_snr_gamma": soft_min_snr,
    "debiased_estimation_loss": debiased,
    "v_pred_like_loss": with_v_error,
    "scale_v_pred_loss_like_noise_pred": noise_error,
}
"""Setting -> w(SNR, strength)."""

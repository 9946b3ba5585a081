"""How errors count: squared, absolute, or squared where small and absolute where large.

Shapes: B batch, C latent channels, H W latent height and width. alpha_bar is the schedule's cumulative product.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from scumble.config.objective import HuberSchedule, LossType, ObjectiveConfig

HUBER_C = 0.1
HUBER_SCHEDULE: HuberSchedule = "snr"


@dataclass(frozen=True)
class Loss:
    """How a difference between what was said and what should have been counts.

    Attributes:
        kind: "l2" squared, "l1" absolute, "huber" and "smooth_l1" squared below a threshold and absolute above.
        huber_c: the threshold where noise is strongest.
        huber_schedule: how the threshold gets there.
    """

    kind: LossType = "l2"
    huber_c: float = HUBER_C
    huber_schedule: HuberSchedule = HUBER_SCHEDULE

    def errors(self, difference: Tensor, timesteps: Tensor, alpha_bars: Tensor) -> Tensor:
        """What each number of a difference counts.

        Args:
            difference: [B, C, H, W].
            timesteps: of each sample, int64 [B].
            alpha_bars: of every timestep, [timesteps].
        """
        if self.kind == "l2":
            return difference.square()
        if self.kind == "l1":
            return difference.abs()
        threshold = huber_threshold(self.huber_c, self.huber_schedule, timesteps, alpha_bars).view(-1, 1, 1, 1)
        smooth = smooth_l1(difference, threshold)
        return threshold * smooth if self.kind == "huber" else smooth


PLAIN = Loss()
"""The squared difference."""


def loss_of(objective: ObjectiveConfig) -> Loss:
    """The loss that the settings choose."""
    return Loss(objective.loss_type, objective.huber_c or HUBER_C, objective.huber_schedule or HUBER_SCHEDULE)


def smooth_l1(difference: Tensor, threshold: Tensor) -> Tensor:
    """2 (sqrt(d^2 + c^2) - c): d^2 / c where |d| is far below the threshold c, 2 |d| where it is far above.

    Times c it is the pseudo-Huber loss of Khrapov et al. 2024 (arXiv:2403.16728), which is d^2 where |d| is small.

    Args:
        difference: d, of any shape.
        threshold: c > 0, of a shape that goes with it.
    """
    # d^2 / (sqrt(d^2 + c^2) + c) is the same without subtracting two nearly equal numbers
    squares = difference.square()
    return 2 * squares / (torch.sqrt(squares + threshold.square()) + threshold)


def huber_threshold(huber_c: float, schedule: HuberSchedule, timesteps: Tensor, alpha_bars: Tensor) -> Tensor:
    """The threshold at each timestep (Khrapov et al. 2024, arXiv:2403.16728, and kohya's scripts).

    Args:
        huber_c: the threshold c at the noisiest timestep, > 0.
        schedule: "constant" is c; "exponential" is c^(t / T) of T timesteps; "snr" is (1 - c) / (1 + sigma)^2 + c with sigma^2
            one over the signal-to-noise ratio, so that pure noise has c. The last two are 1 without noise.
        timesteps: t, int64 [B].
        alpha_bars: of every timestep, [T].
    Returns:
        Thresholds [B], > 0.
    """
    if schedule == "constant":
        return torch.full(timesteps.shape, huber_c, device=timesteps.device)
    if schedule == "exponential":
        return huber_c ** (timesteps / len(alpha_bars))
    alpha_bar = alpha_bars[timesteps]
    sigma = torch.sqrt((1 - alpha_bar) / alpha_bar)  # infinite in pure noise
    return (1 - huber_c) / (1 + sigma).square() + huber_c


def sample_means(errors: Tensor, masks: Tensor | None = None) -> Tensor:
    """Mean error of each sample, [B].

    Args:
        errors: [B, C, H, W].
        masks: what counts, [B, 1, H, W] in 0..1: the mean is weighted with it, so that a small mask weighs no less than
            a large one; None = everything.
    """
    if masks is None:
        return errors.mean(dim=(1, 2, 3))
    return (errors.mean(dim=1, keepdim=True) * masks).sum(dim=(1, 2, 3)) / masks.sum(dim=(1, 2, 3))

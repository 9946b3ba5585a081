"""Asking a denoiser what it predicts, where its file does not say: one look at noise that hides no picture.

Shapes: B samples, C latent channels, H W latent height and width.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from scumble.families.base import BaseModel, PredictionType

SIZE = 32
SAMPLES = 4
SEED = 1


@dataclass(frozen=True)
class Answer:
    """What a denoiser predicts, as its output tells.

    Attributes:
        errors: prediction type -> mean squared error of the output against it, in units of the noise's variance.
    """

    errors: Mapping[PredictionType, float]

    @property
    def prediction_type(self) -> PredictionType:
        """The one that explains the output better."""
        return min(self.errors, key=lambda kind: self.errors[kind])

    @property
    def margin(self) -> float:
        """How many times larger the other's error is."""
        return max(self.errors.values()) / max(min(self.errors.values()), 1e-12)


def ask_prediction(
    predict: Callable[[Tensor, Tensor], Tensor], alpha_bars: Tensor, channels: int, device: torch.device
) -> Answer:
    """Give a denoiser noised zeros at the noisiest timestep, and see which target its output is.

    With x_0 = 0 and x_t = sqrt(1 - alpha_bar) noise, epsilon is the noise and v = sqrt(alpha_bar) noise is nearly
    nothing, so that even a denoiser that guesses some picture into the noise is told apart.

    Args:
        predict: noisy latents [B, C, H, W] and timesteps [B] -> output [B, C, H, W].
        alpha_bars: the schedule, [timesteps].
        channels: C.
        device: where the denoiser is.
    """
    last = len(alpha_bars) - 1
    alpha_bar = float(alpha_bars[last])
    noise = torch.randn(SAMPLES, channels, SIZE, SIZE, generator=torch.Generator().manual_seed(SEED))
    timesteps = torch.full((SAMPLES,), last, device=device)
    with torch.no_grad():
        output = predict((noise * (1 - alpha_bar) ** 0.5).to(device), timesteps).float().cpu()
    targets: dict[PredictionType, Tensor] = {"epsilon": noise, "v_prediction": noise * alpha_bar**0.5}
    return Answer({kind: float((output - target).square().mean()) for kind, target in targets.items()})


def asked(base: BaseModel, device: torch.device) -> Answer:
    """What a base's denoiser predicts; it is loaded for that, and given up again."""
    dtype = torch.bfloat16  # half the memory, and far more exact than the question
    denoiser = base.load_denoiser(dtype, device)

    def predict(noisy: Tensor, timesteps: Tensor) -> Tensor:
        shapes = base.text_shapes()
        text = {name: torch.zeros(len(noisy), *shape, device=device, dtype=dtype) for name, shape in shapes.items()}
        return base.predict(denoiser, noisy.to(dtype), timesteps, text)

    return ask_prediction(predict, base.noise_schedule(), base.latent_channels, device)

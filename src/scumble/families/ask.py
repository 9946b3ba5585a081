"""Asking a denoiser what it predicts, where its file does not say: one look at noise that hides no picture.

Shapes: B samples, C latent channels, H W latent height and width.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from scumble.device import device_of, has_bf16, is_out_of_memory, release_memory, slow_precision
from scumble.families.base import BaseModel, PredictionType
from scumble.processes import share_of

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


def asked(base: BaseModel) -> Answer:
    """What a base's denoiser predicts; it is loaded for that, on this process's GPU if it fits there, and given up again."""
    own, cpu = device_of(share_of(), None), torch.device("cpu")
    if own.type != "cuda":
        return _asked_on(base, cpu)
    try:
        return _asked_on(base, own)
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
    release_memory(own)  # not in `except`, which holds on to what was loaded
    return _asked_on(base, cpu)


def _precision(device: torch.device) -> torch.dtype:
    """Of bfloat16 and float32 the one that the device is quick in; either is far more exact than the question."""
    is_slow = slow_precision(torch.bfloat16, device) if device.type == "cpu" else not has_bf16(device)
    return torch.float32 if is_slow else torch.bfloat16


def _asked_on(base: BaseModel, device: torch.device) -> Answer:
    dtype = _precision(device)
    denoiser = base.load_denoiser(dtype, device)

    def predict(noisy: Tensor, timesteps: Tensor) -> Tensor:
        shapes = base.text_shapes()
        text = {name: torch.zeros(len(noisy), *shape, device=device, dtype=dtype) for name, shape in shapes.items()}
        return base.predict(denoiser, noisy.to(dtype), timesteps, text)

    return ask_prediction(predict, base.noise_schedule(), base.latent_channels, device)

"""Asking a denoiser what it predicts, where its file does not say: one look at noise that hides no picture.

Shapes: B samples, C latent channels, H W latent height and width.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from scumble.device import device_of, has_bf16, release_memory, slow_precision
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


def asked(base: BaseModel, file: Path) -> Answer:
    """What a base's denoiser predicts; it is loaded for that, on this process's GPU if it can be there, and given up again.

    Args:
        base: from a checkpoint.
        file: the checkpoint; the same one is not asked twice.
    """
    about = file.stat()
    key = (file.resolve(), about.st_size, about.st_mtime_ns)
    if key not in _answers:
        _answers[key] = _asked_here(base)
    return _answers[key]


_answers: dict[tuple[Path, int, int], Answer] = {}


def _asked_here(base: BaseModel) -> Answer:
    own, cpu = device_of(share_of(), None), torch.device("cpu")
    answer = None
    if own.type == "cuda":
        with suppress(RuntimeError):  # it is full, or too old for torch: whoever trains there will be told
            answer = _asked_on(base, own)
        release_memory(own)
    return answer or _asked_on(base, cpu)


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

"""How a base was noised in training: what its denoiser predicts, and whether its schedule ends in pure noise.

A pipeline folder says so in its scheduler's settings. A checkpoint file says so by the empty tensors `v_pred` and
`ztsnr` (as ComfyUI and the WebUI read them) or by ModelSpec metadata; else its denoiser is asked.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from scumble.errors import ConfigError
from scumble.families.base import PredictionType
from scumble.families.checkpoint import Header

V_MARK, ZERO_SNR_MARK = "v_pred", "ztsnr"
MODELSPEC_KEY = "modelspec.prediction_type"
MODELSPEC: Mapping[str, PredictionType] = {"v": "v_prediction", "epsilon": "epsilon"}


POWERS = {"linear": 1, "scaled_linear": 2}
"""Of which root of the betas the values lie on a line."""


def marked_prediction(header: Header) -> tuple[PredictionType, str] | None:
    """What a checkpoint file says that its denoiser predicts, and by what it says so; None if it does not."""
    if V_MARK in header.shapes:
        return "v_prediction", f"the file's mark '{V_MARK}'"
    said = header.metadata.get(MODELSPEC_KEY, "")
    return (MODELSPEC[said], f"the file's metadata {MODELSPEC_KEY}") if said in MODELSPEC else None


def is_marked_zero_snr(header: Header) -> bool:
    """Whether a checkpoint file says that its schedule ends in pure noise."""
    return ZERO_SNR_MARK in header.shapes


def scheduler_for(
    scheduler: Mapping[str, Any], prediction_type: PredictionType | None, zero_terminal_snr: bool | None
) -> dict[str, Any]:
    """The scheduler's settings with what was found out or overruled; None leaves them as they are.

    A schedule that ends in pure noise must be drawn from its very end (Lin et al. 2023, arXiv:2305.08891, 3.3), which
    is what diffusers calls trailing timesteps.

    Raises:
        ConfigError: epsilon on a schedule that ends in pure noise, where epsilon is the input and teaches nothing.
    """
    settings = dict(scheduler)
    if prediction_type is not None:
        settings["prediction_type"] = prediction_type
    if zero_terminal_snr is not None:
        settings["rescale_betas_zero_snr"] = zero_terminal_snr
        if zero_terminal_snr:
            settings["timestep_spacing"] = "trailing"
    if settings.get("rescale_betas_zero_snr") and settings.get("prediction_type", "epsilon") == "epsilon":
        raise ConfigError(
            "zero_terminal_snr with prediction_type epsilon: at pure noise epsilon is the input itself, and teaches "
            "nothing; set prediction_type to v_prediction, or zero_terminal_snr to false"
        )
    return settings


def alphas_cumprod(scheduler: Mapping[str, Any]) -> Tensor:
    """alpha-bar of each training timestep, float32 [timesteps], as diffusers' schedulers compute it.

    What Stable Diffusion was trained with is computed here: importing diffusers for it takes seconds. Other schedules are
    left to the library.

    Args:
        scheduler: its settings.
    """
    power = POWERS.get(scheduler.get("beta_schedule", "linear"))
    if power is None or scheduler.get("trained_betas") is not None or scheduler.get("rescale_betas_zero_snr"):
        from diffusers.schedulers.scheduling_ddpm import DDPMScheduler

        schedule: Tensor = DDPMScheduler.from_config(dict(scheduler)).alphas_cumprod
        return schedule.float()
    first, last = (
        scheduler.get(name, usual) ** (1 / power) for name, usual in (("beta_start", 0.0001), ("beta_end", 0.02))
    )
    betas = torch.linspace(first, last, scheduler.get("num_train_timesteps", 1000), dtype=torch.float32) ** power
    return torch.cumprod(1.0 - betas, dim=0)

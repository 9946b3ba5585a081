"""Samplers by the names people know from the WebUI, each a diffusers scheduler made from the base's own settings.

The base's noise schedule, prediction type and steps_offset carry over. The spacing of timesteps is the WebUI's: its
k-diffusion samplers and UniPC go evenly from the last training timestep ("linspace"), DDIM takes every n-th one
("leading"); a base that says "trailing" keeps it, because no scheduler has that by default and models trained to
zero signal need it. What diffusers does otherwise than the WebUI: DPM++ 2M and UniPC stop one interval above timestep
0 before the final step, Karras timesteps are whole numbers, UniPC has order 2 (bh2) where the WebUI has 3 (bh1).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from scumble.errors import ConfigError, nearest


@dataclass(frozen=True)
class Sampler:
    """A diffusers scheduler and its settings.

    Attributes:
        scheduler: class name in diffusers.
        settings: what differs from the base's scheduler settings.
        min_steps: with fewer the scheduler never visits the noisy timesteps.
        max_steps: with more it runs out of timesteps.
    """

    scheduler: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    min_steps: int = 1
    max_steps: int = 1000


_EVEN = {"timestep_spacing": "linspace"}
_EVERY_NTH = {"timestep_spacing": "leading", "clip_sample": False}  # latents are not bounded by 1 as pixels are

SAMPLERS: dict[str, Sampler] = {
    "Euler a": Sampler("EulerAncestralDiscreteScheduler", _EVEN, min_steps=2),
    "Euler": Sampler("EulerDiscreteScheduler", _EVEN, min_steps=2),
    "DPM++ 2M": Sampler("DPMSolverMultistepScheduler", _EVEN),
    "DPM++ 2M Karras": Sampler("DPMSolverMultistepScheduler", {**_EVEN, "use_karras_sigmas": True}),
    "DDIM": Sampler("DDIMScheduler", _EVERY_NTH, min_steps=2, max_steps=999),
    "DDPM": Sampler("DDPMScheduler", _EVERY_NTH, min_steps=2, max_steps=999),
    "UniPC": Sampler("UniPCMultistepScheduler", _EVEN),
    "LCM": Sampler("LCMScheduler", {"clip_sample": False}, max_steps=50),
}
"""WebUI name -> scheduler."""


def find_sampler(name: str, steps: int | None = None) -> str:
    """The sampler's name as the table spells it; upper and lower case are the same.

    Args:
        name: a WebUI name.
        steps: if given, the number of denoising steps it shall take.
    Raises:
        ConfigError: no sampler of that name, or it cannot take so many or so few steps.
    """
    by_lower = {known.lower(): known for known in SAMPLERS}
    known = by_lower.get(" ".join(name.lower().split()))
    if known is None:
        raise ConfigError(f"unknown sampler '{name}'{nearest(name, SAMPLERS)}")
    sampler = SAMPLERS[known]
    if steps is not None and not sampler.min_steps <= steps <= sampler.max_steps:
        raise ConfigError(f"steps={steps}: sampler {known} takes {sampler.min_steps} to {sampler.max_steps} steps")
    return known


def make_sampler(name: str, scheduler_config: Mapping[str, Any]) -> Any:
    """A fresh diffusers scheduler.

    Args:
        name: WebUI name, upper or lower case.
        scheduler_config: the base's own scheduler settings, `_class_name` among them.
    Raises:
        ConfigError: no sampler of that name.
    """
    import diffusers

    sampler = SAMPLERS[find_sampler(name)]
    settings = dict(sampler.settings)
    if scheduler_config.get("timestep_spacing") == "trailing":
        settings.pop("timestep_spacing", None)
    return getattr(diffusers, sampler.scheduler).from_config({**scheduler_config, **settings})

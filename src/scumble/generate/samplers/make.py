"""A sampler for a base, by its name. Nothing heavy is imported before one is made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from scumble.generate.samplers.names import AUTOMATIC, SAMPLERS, find_sampler, split_sampler

if TYPE_CHECKING:
    from scumble.generate.samplers.driver import Driver


def make_sampler(name: str, scheduler_config: Mapping[str, Any]) -> Driver:
    """A fresh sampler, driven as diffusers drives its schedulers.

    A base that asks for trailing timesteps gets them from every sampler whose schedule nobody chose: models trained to
    zero signal, and those distilled to few steps, need them.

    Args:
        name: as of `find_sampler`.
        scheduler_config: the base's own scheduler settings.
    Raises:
        ConfigError: no sampler of that name.
    """
    from scumble.generate.samplers.driver import Driver
    from scumble.generate.samplers.functions import FUNCTIONS
    from scumble.generate.samplers.levels import Levels
    from scumble.generate.samplers.schedules import sigmas_of

    sampler, chosen = split_sampler(find_sampler(name))
    known, levels = SAMPLERS[sampler], Levels.of(scheduler_config)
    schedule: str | None = known.automatic if chosen == AUTOMATIC else chosen
    if known.is_for_lcm:
        levels = levels.of_lcm()
    elif chosen == AUTOMATIC and scheduler_config.get("timestep_spacing") == "trailing":
        schedule = None
    return Driver(
        FUNCTIONS[sampler],
        lambda steps: sigmas_of(known, schedule, levels, steps),
        levels,
        predicts_velocity=scheduler_config.get("prediction_type") == "v_prediction",
        keeps_variance=known.keeps_variance,
    )

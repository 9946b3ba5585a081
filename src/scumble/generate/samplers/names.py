"""Samplers and schedules by the names people know from the WebUI (A1111 1.10); nothing heavy is imported for them.

A name may carry its schedule, "DPM++ 2M Karras", as older WebUIs wrote it and as recipes here keep it. Without one the
schedule is Automatic: what the WebUI has each sampler take.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from scumble.errors import ConfigError, nearest

AUTOMATIC = "Automatic"
SCHEDULES = (
    "Uniform", "Karras", "Exponential", "Polyexponential", "SGM Uniform", "KL Optimal", "Simple", "Normal", "DDIM", "Beta",
)  # fmt: skip
"""Those of the WebUI that can be chosen for any base."""


@dataclass(frozen=True)
class Sampler:
    """How a sampler is set up.

    Attributes:
        automatic: its schedule if none is chosen.
        takes_schedule: whether another can be chosen; the others have timesteps of their own.
        skips_last_level: leaves out the schedule's lowest level above 0, as the WebUI does for it.
        ends_at_lowest: ends at the base's lowest level, where others go on to 0.
        keeps_variance: starts from noise of variance 1, not from sigma times noise, and gives latents back so.
        is_for_lcm: goes through the timesteps that an LCM was distilled on.
        min_steps: with fewer it never visits the noisy timesteps, or has too few for its order.
        max_steps: with more it runs out of timesteps.
    """

    automatic: str = "Uniform"
    takes_schedule: bool = True
    skips_last_level: bool = False
    ends_at_lowest: bool = False
    keeps_variance: bool = False
    is_for_lcm: bool = False
    min_steps: int = 1
    max_steps: int = 1000


LEADING = "Leading"
"""The timesteps that DDIM was published with; nobody chooses them."""
_PUBLISHED = Sampler(
    LEADING, takes_schedule=False, ends_at_lowest=True, keeps_variance=True, min_steps=2, max_steps=999
)

SAMPLERS: Mapping[str, Sampler] = {
    "Euler a": Sampler(),
    "Euler": Sampler(),
    "DPM++ 2M": Sampler("Karras"),
    "DPM++ SDE": Sampler("Karras"),
    "DPM++ 2M SDE": Sampler("Exponential"),
    "DPM++ 2M SDE Heun": Sampler("Exponential"),
    "DPM++ 2S a": Sampler("Karras"),
    "DPM++ 3M SDE": Sampler("Exponential", skips_last_level=True),
    "LMS": Sampler(),
    "Heun": Sampler(),
    "DPM2": Sampler("Karras", skips_last_level=True),
    "DPM2 a": Sampler("Karras", skips_last_level=True),
    "Restart": Sampler("Karras"),
    "DDIM": _PUBLISHED,
    "PLMS": _PUBLISHED,
    "UniPC": replace(_PUBLISHED, automatic="SGM Uniform", min_steps=3),
    "LCM": Sampler(takes_schedule=False, is_for_lcm=True, max_steps=50),
    "DDPM": replace(_PUBLISHED, ends_at_lowest=False),
}
"""WebUI name -> how it is set up; DDPM is not in the WebUI."""

REFUSED = {
    "DPM fast": "its steps hold one, two or three questions to the denoiser each; take DPM++ 2S a",
    "DPM adaptive": "it decides on the way how many steps it takes, whatever is asked for; take DPM++ 2S a",
    "DDIM CFG++": "it needs the denoiser's answer without the prompt apart; take DDIM",
}
"""Names of the WebUI that are not here, and why."""

REFUSED_SCHEDULES = {
    "Align Your Steps": "its levels are tables for two particular bases; take KL Optimal",
    "Turbo": "its levels are for one particular base; take SGM Uniform",
}


def find_sampler(name: str, steps: int | None = None, schedule: str | None = None) -> str:
    """The sampler's name as the tables spell it, with its schedule unless that is Automatic.

    Args:
        name: a WebUI name in upper or lower case, with or without a schedule behind it.
        steps: if given, the number of denoising steps it shall take.
        schedule: a schedule type; None or Automatic = what the name says.
    Raises:
        ConfigError: no sampler or schedule of that name, the two cannot go together, or it cannot take so many or so few
            steps.
    """
    sampler, said = split_sampler(name)
    if sampler not in SAMPLERS:
        raise ConfigError(_unknown(name, sampler))
    wished = AUTOMATIC if schedule is None else find_schedule(schedule)
    chosen = find_schedule(said) if wished == AUTOMATIC else wished
    if said not in (AUTOMATIC, chosen):
        raise ConfigError(
            f"sampler={name} with schedule={chosen}: two schedules; leave {said} out of the sampler's name"
        )
    if chosen != AUTOMATIC and not SAMPLERS[sampler].takes_schedule:
        raise ConfigError(
            f"schedule={chosen} would have no effect: {sampler} has timesteps of its own; leave schedule out"
        )
    if steps is not None:
        _check_steps(sampler, chosen, steps)
    return join_sampler(sampler, chosen)


def find_schedule(name: str) -> str:
    """The schedule's name as the table spells it; case, blanks and underscores are the same.

    Raises:
        ConfigError: no schedule of that name.
    """
    known = {_squeezed(each): each for each in (AUTOMATIC, *SCHEDULES, *REFUSED_SCHEDULES)}
    found = known.get(_squeezed(name))
    if found is None:
        raise ConfigError(f"unknown schedule '{name}'{nearest(name, (AUTOMATIC, *SCHEDULES))}")
    if found in REFUSED_SCHEDULES:
        raise ConfigError(f"schedule '{found}' is not here: {REFUSED_SCHEDULES[found]}")
    return found


def split_sampler(name: str) -> tuple[str, str]:
    """Sampler and schedule that a name says, as the tables spell them; what they do not know stays as it is."""
    words = " ".join(name.split())
    schedule = AUTOMATIC
    for known in sorted((*SCHEDULES, *REFUSED_SCHEDULES), key=len, reverse=True):  # "SGM Uniform" before "Uniform"
        if words.lower().endswith(f" {known.lower()}"):
            words, schedule = words[: -len(known) - 1], known
            break
    by_lower = {known.lower(): known for known in (*SAMPLERS, *REFUSED)}
    return by_lower.get(words.lower(), words), schedule


def told_schedule(sampler: str, schedule: str) -> str:
    """What the WebUI writes as a picture's "Schedule type": Automatic only where that is not one of the others."""
    automatic = SAMPLERS[sampler].automatic if sampler in SAMPLERS else AUTOMATIC
    return automatic if schedule == AUTOMATIC and automatic in ("Karras", "Exponential") else schedule


def join_sampler(sampler: str, schedule: str) -> str:
    """One name of both; Automatic is not said."""
    return sampler if schedule == AUTOMATIC else f"{sampler} {schedule}"


def _check_steps(sampler: str, schedule: str, steps: int) -> None:
    known = SAMPLERS[sampler]
    if not known.min_steps <= steps <= known.max_steps:
        raise ConfigError(f"steps={steps}: sampler {sampler} takes {known.min_steps} to {known.max_steps} steps")
    taken = steps + known.skips_last_level
    if schedule == "DDIM" and 1000 % taken:
        near = min((each for each in range(1, 1001) if 1000 % each == 0), key=lambda each: abs(each - taken))
        raise ConfigError(
            f"steps={steps}: schedule DDIM takes numbers of steps that divide 1000; {near - known.skips_last_level} is near"
        )


def _unknown(name: str, sampler: str) -> str:
    if sampler in REFUSED:
        return f"sampler '{sampler}' is not here: {REFUSED[sampler]}"
    return f"unknown sampler '{name}'{nearest(name, SAMPLERS)}"


def _squeezed(name: str) -> str:
    return name.lower().replace(" ", "").replace("_", "")

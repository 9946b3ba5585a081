"""Models that were distilled to draw in a few steps, and what they need: LCM, Turbo, Lightning, Hyper."""

import re
from collections.abc import Iterator, Sequence

from scumble.families.base import BaseModel
from scumble.generate.events import Noted
from scumble.generate.loras import OpenedLora
from scumble.generate.recipe import Recipe

MOST_LCM_GUIDANCE = 2.0
MANY_STEPS = 12

LCM = "--sampler LCM, 4 to 8 steps, --guidance-scale 1 to 2"
OTHERS = "--sampler 'Euler SGM Uniform', as many steps as its name says or 4 to 8, --guidance-scale 1"
ADVICE = {"lcm": LCM, "turbo": OTHERS, "lightning": OTHERS, "hyper": OTHERS}
"""What a model calls itself -> how it is drawn with."""

_NAMED = re.compile(rf"(?<![a-z])({'|'.join(ADVICE)})(?![a-z])", re.IGNORECASE)
_NAMES = ("ss_output_name", "modelspec.title")
"""Metadata in which a LoRA file may call itself so."""


def note_few_steps(recipe: Recipe, base: BaseModel, loras: Sequence[OpenedLora]) -> Iterator[Noted]:
    """Say where settings do not go with a model of few steps, or it needs some that were not given.

    Args:
        recipe: what is drawn.
        base: with what.
        loras: those that are within reach.
    """
    is_guided = recipe.guidance_scale > MOST_LCM_GUIDANCE
    if recipe.sampler.startswith("LCM") and is_guided and not base.is_told_guidance:
        yield Noted(
            f"sampler LCM at guidance_scale {recipe.guidance_scale:g} burns pictures: take 1 to {MOST_LCM_GUIDANCE:g}",
            warning=True,
        )
        return
    if not is_guided and recipe.steps <= MANY_STEPS:
        return
    for what, kind in _distilled(base, loras):
        yield Noted(f"{what} says that it draws in a few steps ({kind}): best with {ADVICE[kind]}", warning=True)


def _distilled(base: BaseModel, loras: Sequence[OpenedLora]) -> Iterator[tuple[str, str]]:
    """What says of itself that it is for a few steps, and of which kind."""
    if base.scheduler_config().get("_class_name") == "LCMScheduler":
        yield f"base {base.name}", "lcm"
    elif kind := _kind(base.name.replace("\\", "/").rpartition("/")[2]):
        yield f"base {base.name}", kind
    for lora in loras:
        names = [lora.use.name, *(lora.file.metadata.get(key, "") for key in _NAMES)]
        if kind := _kind(" ".join(names)):
            yield f"LoRA {lora.use.name}", kind


def _kind(text: str) -> str | None:
    found = _NAMED.search(text)
    return found[1].lower() if found else None

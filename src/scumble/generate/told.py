"""A recipe as settings of drawing and a base say it together."""

from typing import Protocol

from scumble.families.base import BaseModel
from scumble.generate.recipe import Recipe


class DrawingSettings(Protocol):
    """What commands that draw are told; None = as the base advises."""

    @property
    def negative_prompt(self) -> str:
        """What to keep away from."""

    @property
    def steps(self) -> int:
        """Denoising steps."""

    @property
    def guidance_scale(self) -> float | None:
        """Classifier-free guidance."""

    @property
    def clip_skip(self) -> int | None:
        """Layers of the text encoder, counted from its end."""


def recipe_as_told(settings: DrawingSettings, base: BaseModel, sampler: str, prompt: str = "") -> Recipe:
    """A recipe at the base's own size, without LoRAs, with the first seed.

    Args:
        settings: as given.
        base: opened.
        sampler: as its table spells it.
        prompt: without LoRA tags.
    """
    return Recipe(
        prompt=prompt,
        width=base.resolution,
        height=base.resolution,
        negative_prompt=settings.negative_prompt,
        steps=settings.steps,
        guidance_scale=settings.guidance_scale or base.advice.guidance_scale,
        sampler=sampler,
        clip_skip=settings.clip_skip or base.advice.clip_skip,
        base=base.name,
    )

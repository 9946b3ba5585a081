"""What a cell is drawn from before its base is open: what is None the base decides."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from scumble.errors import ConfigError
from scumble.families.base import BaseModel, check_clip_skip
from scumble.generate.draw import check_size
from scumble.generate.prompt import FoundLora
from scumble.generate.recipe import LoraUse, Recipe
from scumble.generate.samplers import find_sampler
from scumble.generate.samplers.names import AUTOMATIC, join_sampler
from scumble.generate.told import recipe_as_told


@dataclass(frozen=True)
class Draft:
    """One cell.

    Attributes:
        base: as the person names it; None = the one that the LoRAs were trained on.
        loras: that take part in it, with their weights.
        sampler: as its table spells it, with or without a schedule in its name.
        schedule: a schedule type beside it; None = as the sampler's name says.
        size: width and height in pixels.
    """

    base: str | None
    prompt: str
    negative_prompt: str
    loras: tuple[FoundLora, ...]
    steps: int
    guidance_scale: float | None
    sampler: str
    schedule: str | None
    seed: int
    clip_skip: int | None
    size: tuple[int, int] | None = None

    def with_weight(self, weight: float, name: str = "") -> "Draft":
        """The same with another weight of one LoRA, or of all."""
        return replace(
            self,
            loras=tuple(replace(lora, weight=weight) if name in ("", lora.name) else lora for lora in self.loras),
        )


def recipe_of(draft: Draft, base: BaseModel, hashes: Mapping[str, str]) -> Recipe:
    """The cell's recipe on an opened base.

    Args:
        draft: the cell.
        base: what it is drawn with.
        hashes: LoRA's name -> hash of its file.
    """
    width, height = draft.size or (base.resolution, base.resolution)
    uses = tuple(LoraUse(lora.name, lora.weight, hashes.get(lora.name, ""), lora.blocks) for lora in draft.loras)
    recipe = recipe_as_told(draft, base, _sampler(draft), draft.prompt.strip())
    return replace(recipe, width=width, height=height, seed=draft.seed, loras=uses)


def _sampler(draft: Draft) -> str:
    """Sampler and schedule in one name, which is also that of two that cannot go together."""
    try:
        return find_sampler(draft.sampler, schedule=draft.schedule)
    except ConfigError:
        return join_sampler(draft.sampler, draft.schedule or AUTOMATIC)


def why_not(draft: Draft, recipe: Recipe, base: BaseModel) -> str:
    """Why a cell's recipe cannot be drawn on a base, whatever its LoRAs; "" if it can."""
    try:
        find_sampler(draft.sampler, recipe.steps, draft.schedule)
        check_size(base, recipe.width, recipe.height)
        check_clip_skip(base, recipe.clip_skip)
    except ConfigError as error:
        return str(error)
    return ""

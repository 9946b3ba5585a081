"""From settings to recipes: what each prompt asks for, at which size, with which LoRAs and seeds."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image

from scumble.config.generate import GenerateConfig
from scumble.config.passes import DEFAULT_HIRES_STRENGTH, DEFAULT_STRENGTH
from scumble.errors import ConfigError
from scumble.families.base import BaseModel, check_clip_skip
from scumble.files.places import plain_name
from scumble.generate.denoise import schedule_of_strength
from scumble.generate.draw import check_size, size_grid
from scumble.generate.events import Noted
from scumble.generate.hires import LATENT, hires_size
from scumble.generate.painter import moment_steps
from scumble.generate.passes import steps_taken
from scumble.generate.pixels import pixel_hash
from scumble.generate.prepare import check_settings
from scumble.generate.prompt import LoraTag, parse_tags
from scumble.generate.prompts_file import Wish
from scumble.generate.recipe import HiresPass, LoraUse, Recipe, SourcePicture, plain_number
from scumble.generate.samplers import find_sampler
from scumble.generate.told import recipe_as_told

DEFAULT_MOMENTS = 20
FAR_SIZE = 2.0
"""A side so many times as long as the base's, or as short, is worth a word."""

LATENT_NEEDS = 0.5
"""Strength of a second pass, at which it draws anew what enlarged latents are too coarse for."""


@dataclass(frozen=True)
class Asked:
    """A prompt with all its settings, checked.

    Attributes:
        wish: its settings, and where they stand.
        prompt: without LoRA tags.
        tags: the LoRAs that it names.
        sampler: as the table spells it.
    """

    wish: Wish
    prompt: str
    tags: Sequence[LoraTag]
    sampler: str

    @property
    def settings(self) -> GenerateConfig:
        """The command's, with those of the prompt's own line."""
        return self.wish.settings

    @property
    def seeds(self) -> Sequence[int]:
        """One a picture."""
        one = self.settings
        return one.seeds or range(one.seed, one.seed + one.n)


def asked(wish: Wish) -> Asked:
    """What one prompt asks for.

    Raises:
        ConfigError: a tag, sampler or number of steps that cannot be, or a setting without effect.
    """
    settings = wish.settings
    with wish.blamed():
        prompt, tags = parse_tags(settings.prompt or "")
        sampler = check_settings(
            settings.negative_prompt, settings.guidance_scale, settings.sampler, settings.steps, settings.schedule
        )
    return Asked(wish, prompt, tags, sampler)


def all_tags(all_asked: Sequence[Asked]) -> list[LoraTag]:
    """One tag of each LoRA that is named."""
    return list({tag.name: tag for one in all_asked for tag in one.tags}.values())


def note_own_seeds(config: GenerateConfig, all_asked: Sequence[Asked]) -> Iterator[Noted]:
    """Say which lines of the prompts' file are drawn once, by the seed that they name, though `seeds` asks for more."""
    for one in all_asked:
        if config.seeds and not one.settings.seeds:
            yield Noted(
                f"{one.wish.place}: drawn with its own seed, {one.settings.seed}, and not with those of --seeds"
            )


def uses_of(tags: Sequence[LoraTag], given: Sequence[Path], opened: Sequence[LoraUse]) -> tuple[LoraUse, ...]:
    """The LoRAs of one prompt: those that it names, then the given files that it does not, at strength 1.

    Args:
        tags: of the prompt.
        given: the --lora files.
        opened: every LoRA within reach.
    """
    by_name = {use.name: use for use in opened}
    named = [
        replace(by_name[tag.name], weight=tag.weight, blocks=tag.blocks, text_weight=tag.text_weight) for tag in tags
    ]
    others = dict.fromkeys(plain_name(path.name) for path in given)
    rest = [replace(by_name[name], weight=1.0, blocks="", text_weight=None) for name in others]
    return (*named, *(use for use in rest if use.name not in {tag.name for tag in tags}))


def recipes_of(
    one: Asked, base: BaseModel, image: Image.Image | None = None, opened: Sequence[LoraUse] = ()
) -> list[Recipe]:
    """The recipes of one prompt, one a seed.

    Args:
        one: what is asked for.
        base: advises what is left open.
        image: the picture to start from.
        opened: every LoRA within reach.
    """
    settings = one.settings
    width, height = size_of(base, settings.width, settings.height, image)
    first = replace(
        recipe_as_told(settings, base, one.sampler, one.prompt),
        width=width,
        height=height,
        loras=uses_of(one.tags, settings.lora, opened) if opened else (),
        source=_source(settings, image),
        hires=_hires(settings),
    )
    return [replace(first, seed=seed) for seed in one.seeds]


def folds(wished: bool | None, recipes: Sequence[Recipe]) -> bool:
    """Whether LoRAs are added to the weights: as wished, else where no strength changes between the pictures."""
    return bool(recipes[0].loras) and len({recipe.loras for recipe in recipes}) == 1 if wished is None else wished


def check_recipe(base: BaseModel, recipe: Recipe, num_moments: int = 0) -> None:
    """Refuse before anything heavy is loaded what cannot be drawn.

    Args:
        base: to be drawn with.
        recipe: what to draw.
        num_moments: of the reverse process that are to be kept.
    Raises:
        ConfigError: a size, layer of the text encoder, or number of steps or moments that cannot be.
    """
    check_size(base, recipe.width, recipe.height)
    check_clip_skip(base, recipe.clip_skip)
    moment_steps(steps_taken(recipe), num_moments)
    if recipe.hires is not None:
        size_px, grid = (recipe.width, recipe.height), size_grid(base)
        if hires_size(base, size_px, recipe.hires.scale) == size_px:
            raise ConfigError(
                f"hires_scale={plain_number(recipe.hires.scale)} would have no effect: sides grow by {grid} px at a time, and "
                f"{recipe.width} x {recipe.height} stays; take {1 + grid / max(size_px):.4g} or more"
            )
        find_sampler(recipe.sampler, schedule_of_strength(recipe.hires.steps or recipe.steps, recipe.hires.strength))


def count_moments(config: GenerateConfig, recipes: Sequence[Recipe]) -> int:
    """Moments of the reverse process that a strip shows of each recipe, unless told not more than steps allow; 0 = no strip."""
    if not config.strip:
        return 0
    return config.moments or min(DEFAULT_MOMENTS, min(map(steps_taken, recipes)) + 1)


def note_passes(recipes: Sequence[Recipe]) -> Iterator[Noted]:
    """Warn of a second pass that leaves the blocks of enlarged latents in sight."""
    weak = [recipe.hires for recipe in recipes if recipe.hires is not None and recipe.hires.upscaler == LATENT]
    if any(each.strength < LATENT_NEEDS for each in weak):
        yield Noted(
            f"hires_denoising_strength={plain_number(min(each.strength for each in weak))} over latents that were enlarged: "
            f"below {LATENT_NEEDS:g} the picture stays smeared; give {LATENT_NEEDS:g} or more, or hires_upscaler=lanczos",
            warning=True,
        )


def note_size(base: BaseModel, recipes: Sequence[Recipe]) -> Iterator[Noted]:
    """Warn where a picture to start from is of a size that the base was not made for."""
    for width, height in dict.fromkeys((recipe.width, recipe.height) for recipe in recipes):
        ratio = (width * height) ** 0.5 / base.resolution
        if not 1 / FAR_SIZE <= ratio <= FAR_SIZE:
            yield Noted(
                f"drawing {width} x {height}, and {base.name} was made for {base.resolution} x {base.resolution}: "
                "slow, or odd to look at; --width or --height draws another size of the same shape",
                warning=True,
            )


def size_of(
    base: BaseModel, width: int | None, height: int | None, image: Image.Image | None = None
) -> tuple[int, int]:
    """Width and height to draw: as asked for, else the base's own.

    With a picture to start from, what is left open follows it, rounded to what the base can draw.
    """
    if image is None:
        return width or base.resolution, height or base.resolution
    if width is None and height is None:
        width = _on_grid(base, image.width)
    if width is None:
        assert height is not None
        width = _on_grid(base, height * image.width / image.height)
    return width, height or _on_grid(base, width * image.height / image.width)


def _on_grid(base: BaseModel, side_px: float) -> int:
    grid = size_grid(base)
    return max(round(side_px / grid), 1) * grid


def _source(settings: GenerateConfig, image: Image.Image | None) -> SourcePicture | None:
    if image is None or settings.image is None:
        return None
    return SourcePicture(pixel_hash(image), settings.denoising_strength or DEFAULT_STRENGTH, settings.image.name)


def _hires(settings: GenerateConfig) -> HiresPass | None:
    if settings.hires_scale is None:
        return None
    upscaler = settings.hires_upscaler or LATENT
    return HiresPass(
        settings.hires_scale,
        settings.hires_steps or 0,
        settings.hires_denoising_strength or DEFAULT_HIRES_STRENGTH,
        upscaler.stem if isinstance(upscaler, Path) else upscaler,
    )

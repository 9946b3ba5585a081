"""Pictures enlarged without an upscaling model: by Lanczos, and then drawn over by a base, tile by tile (img2img)."""

import itertools
from collections.abc import Generator, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from scumble.config.upscale import UpscaleConfig
from scumble.device import memory_advice
from scumble.errors import ConfigError, DataError
from scumble.families.base import BaseModel, check_clip_skip
from scumble.generate.draw import size_grid
from scumble.generate.events import Noted
from scumble.generate.infotext import read_infotext
from scumble.generate.painter import Painter
from scumble.generate.plan import uses_of
from scumble.generate.prepare import check_settings, load_painter, note_prompts, open_base_for
from scumble.generate.prompt import LoraTag, find_loras, parse_tags
from scumble.generate.recipe import Recipe, SourcePicture
from scumble.generate.samplers.names import split_sampler
from scumble.generate.told import recipe_as_told
from scumble.quantities import counted
from scumble.upscale import events
from scumble.upscale.each import Made, make_each
from scumble.upscale.passes import Larger, interpolate
from scumble.upscale.picture import Original
from scumble.upscale.places import Places, find_places
from scumble.upscale.size import Wanted
from scumble.upscale.tiles import Retiled, Tiling, assemble

DEFAULT_SCALE = 2
MOST_TILE_PX = 1024
"""A tile is twice the base's resolution, because a base that sees little of a picture draws all of the prompt into it; but no
larger than this, for memory's sake, or than the resolution."""
BLEND = 0.75
"""Of what neighbouring tiles share: they are drawn apart, and a wide band hides it."""
FROM_RECIPE = ("negative_prompt", "steps", "guidance_scale", "sampler", "clip_skip", "seed")
"""What a picture's recipe says unless a setting was given."""

Recipes = Mapping[Path, Recipe | None]
"""The recipe in each picture that is drawn over; None = it is the settings' alone."""


def refine(config: UpscaleConfig) -> Iterator[events.Event | Noted]:
    """Enlarge pictures by Lanczos and draw over them by a base, each at once written as a PNG.

    What is drawn is the prompt that was given, or each picture's own recipe, LoRAs included.

    Raises:
        ConfigError: a setting that cannot be, no prompt and a picture without a recipe, or recipes of several bases.
        BaseModelError, LoraFileError: the base or a LoRA cannot be used.
        DataError: no picture, or none that could be read.
        OutOfMemoryError: the device has too little memory.
    """
    assert config.model is None
    places = find_places(config.picture, config.out, config.overwrite)
    with memory_advice("take a smaller --tile, or --mixed-precision fp16"):
        yield from _refine(config, places)


def _refine(config: UpscaleConfig, places: Places) -> Iterator[events.Event | Noted]:
    found_in = {place.source: _recipe_in(place.source, config) for place in places.pictures}
    prompt, prompt_tags = parse_tags(config.prompt or "")
    tags = {path: _tags_of(own) if own else prompt_tags for path, own in found_in.items()}
    yield from note_prompts([prompt, config.negative_prompt])
    named = list({tag.name: tag for some in tags.values() for tag in some}.values())
    loras = find_loras(named, config.lora, config.lora_dir, config.runs_dir)
    base = yield from open_base_for(_with_base(config, found_in), loras)
    tiling = _tiling(config, base)
    recipes = {path: _recipe(config, base, prompt, own) for path, own in found_in.items()}
    painter, opened = yield from load_painter(base, loras, config.device, config.mixed_precision, config.allow_partial)
    uses = [lora.use for lora in opened]
    recipes = {path: replace(each, loras=uses_of(tags[path], config.lora, uses)) for path, each in recipes.items()}
    yield from _other_files(found_in, recipes)
    yield events.Planned("Drawing over enlarged pictures", _card(config, base, tiling, places))
    over = _Over(painter, tiling, config.denoising_strength, Wanted(config.scale, config.width, config.height))
    yield from make_each(
        places, lambda original: over.make(original, recipes[original.path]), config.out, config.first_frame
    )


@dataclass(frozen=True)
class _Over:
    """Draws over pictures.

    Attributes:
        painter: with all LoRAs within reach.
        tiling: in pixels of the results.
        strength: how much is drawn anew.
        wanted: sizes of the results.
    """

    painter: Painter
    tiling: Tiling
    strength: float
    wanted: Wanted

    def make(self, original: Original, recipe: Recipe) -> Generator[float | Retiled, None, Made]:
        """One picture, drawn over; yields the share that is done."""
        size = self.wanted.of(original.rgb.size, DEFAULT_SCALE)
        enlarged = interpolate(original, size)
        canvas = _on_grid(enlarged.rgb, self.tiling, size_grid(self.painter.base))
        seeds = itertools.count(recipe.seed)  # noise that repeats from tile to tile would be seen
        drawn = assemble(canvas, self.tiling, 1, lambda tile: self._draw(tile, replace(recipe, seed=next(seeds))))
        while True:
            try:
                tile = next(drawn)
            except StopIteration as end:
                rgb = end.value.crop((0, 0, *size))
                break
            yield tile.done / tile.total
        facts = {"denoising_strength": self.strength, "tile": self.tiling.tile_px, "overlap": self.tiling.overlap_px}
        return Made(Larger(rgb, enlarged.alpha), recipe.base, {**facts, "recipe": asdict(recipe)})

    def _draw(self, tile: Image.Image, recipe: Recipe) -> Image.Image:
        name = self.painter.add_image(tile)
        source = SourcePicture(name, self.strength)
        (picture,) = self.painter.paint([replace(recipe, width=tile.width, height=tile.height, source=source)])
        self.painter.forget_image(name)
        return picture.image


def _on_grid(image: Image.Image, tiling: Tiling, grid: int) -> Image.Image:
    """An image whose sides, where one tile covers them, are multiples of what the base draws: its edges are repeated."""
    pads = [(-side) % grid if side < tiling.tile_px else 0 for side in image.size]
    if not any(pads):
        return image
    return Image.fromarray(np.pad(np.asarray(image), ((0, pads[1]), (0, pads[0]), (0, 0)), mode="edge"))


def _recipe_in(path: Path, config: UpscaleConfig) -> Recipe | None:
    if config.prompt is not None:
        return None
    try:
        return read_infotext(path)
    except DataError as error:
        raise ConfigError(f"{error}; say by --prompt what is in it, or take --model FILE") from None


def _tags_of(recipe: Recipe) -> list[LoraTag]:
    return [LoraTag(use.name, use.weight, use.blocks, use.text_weight) for use in recipe.loras]


def _with_base(config: UpscaleConfig, found_in: Recipes) -> UpscaleConfig:
    """The settings with the base that the recipes name, where none was asked for.

    Raises:
        ConfigError: they name several.
    """
    names = sorted({own.base for own in found_in.values() if own is not None and own.base})
    if config.base is not None or config.preset is not None or not names:
        return config
    if len(names) > 1:
        raise ConfigError(
            f"the pictures were drawn with several bases ({', '.join(names)}): say by --base which to take"
        )
    return config.model_copy(update={"base": names[0]})


def _tiling(config: UpscaleConfig, base: BaseModel) -> Tiling:
    grid = size_grid(base)
    tile_px = config.tile or max(base.resolution, min(2 * base.resolution, MOST_TILE_PX)) // grid * grid
    if tile_px % grid:
        below = max(tile_px // grid, 1) * grid
        raise ConfigError(
            f"tile={tile_px}: must be a multiple of {grid} for this base; {below} and {below + grid} are near"
        )
    overlap_px = config.overlap or tile_px // 8
    if 2 * overlap_px > tile_px:
        raise ConfigError(f"overlap={overlap_px}: must be half a tile of {tile_px} px or less")
    return Tiling(tile_px, overlap_px, BLEND)


def _recipe(config: UpscaleConfig, base: BaseModel, prompt: str, own: Recipe | None) -> Recipe:
    """What is drawn over one picture, without its LoRAs.

    Raises:
        ConfigError: a setting that cannot be.
    """
    if own is not None:
        given = {name: getattr(config, name) for name in FROM_RECIPE if name in config.model_fields_set}
        if config.schedule is not None:
            own = replace(own, sampler=split_sampler(own.sampler)[0])
        recipe = replace(own, base=base.name, source=None, hires=None, **given)
    else:
        recipe = replace(recipe_as_told(config, base, config.sampler, prompt), seed=config.seed)
    sampler = check_settings(
        recipe.negative_prompt, recipe.guidance_scale, recipe.sampler, recipe.steps, config.schedule
    )
    check_clip_skip(base, recipe.clip_skip)
    return replace(recipe, sampler=sampler)


def _other_files(found_in: Recipes, recipes: Mapping[Path, Recipe]) -> Iterator[Noted]:
    """Warn of LoRAs that have the name of those in a recipe, and other contents."""
    for path, own in found_in.items():
        known = {use.name: use.hash for use in own.loras} if own is not None else {}
        for use in recipes[path].loras:
            if known.get(use.name) and not use.hash.startswith(known[use.name]):
                yield Noted(
                    f"{path.name}: LoRA {use.name} is another file than the one that it was drawn with", warning=True
                )


def _card(config: UpscaleConfig, base: BaseModel, tiling: Tiling, places: Places) -> dict[str, str]:
    return {
        "base": base.name,
        "draws anew": f"{config.denoising_strength:g} of what Lanczos enlarged",
        "tiles": f"{tiling.tile_px} px; neighbours share {tiling.overlap_px} px",
        "prompt": config.prompt if config.prompt is not None else "of the recipe in each picture",
        "pictures": counted(len(places.pictures), "picture") + f", results in {config.out}",
    }

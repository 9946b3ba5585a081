"""Generate: from settings to pictures in a folder, told as events."""

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace

from scumble.config.generate import GenerateConfig
from scumble.families.base import BaseModel, check_clip_skip
from scumble.generate.device import memory_advice
from scumble.generate.draw import check_size
from scumble.generate.events import Composed, Event, Noted, Painted
from scumble.generate.infotext import png_texts
from scumble.generate.painter import moment_steps
from scumble.generate.prepare import (
    OUT_OF_MEMORY_ADVICE,
    check_settings,
    load_painter,
    note_boxes,
    note_prompts,
    open_base_for,
    with_tiles_for,
)
from scumble.generate.prompt import find_loras, parse_tags
from scumble.generate.recipe import LoraUse, Picture, Recipe, plain_number
from scumble.generate.save import check_folder, save_new
from scumble.generate.strip import strip

MAX_STRIP_ROWS = 16


def generate(config: GenerateConfig) -> Iterator[Event]:
    """Draw pictures and save each, with its recipe, into the folder `config.out`; nothing there is overwritten.

    Raises:
        ConfigError: a setting that cannot be; nothing was drawn then.
        LoraFileError, BaseModelError: a LoRA or the base cannot be used.
        OutOfMemoryError: the device has too little memory.
    """
    check_folder(config.out)
    index = 0
    of_strip: list[Picture] = []
    for item in draw(config):
        if isinstance(item, Noted):
            yield item
            continue
        index += 1
        path = save_new(config.out, str(item.recipe.seed), item.image, png_texts(item.recipe))
        yield Painted(path, item.image, item.recipe, index, config.n)
        if item.moments:
            of_strip.append(item)
    if of_strip:
        yield from _save_strip(config, of_strip)


def pictures(config: GenerateConfig) -> list[Picture]:
    """Draw pictures without saving them; what the person should know comes as Python warnings.

    Raises:
        ScumbleError: as `generate`.
    """
    drawn = []
    for item in draw(config):
        if isinstance(item, Picture):
            drawn.append(item)
        elif item.warning:
            warnings.warn(item.text, stacklevel=2)
    return drawn


def draw(config: GenerateConfig) -> Iterator[Noted | Picture]:
    """Draw pictures one batch after the other; nothing is written."""
    with memory_advice(f"{OUT_OF_MEMORY_ADVICE}, or vae_tiling"):
        yield from _draw(config)


def _draw(config: GenerateConfig) -> Iterator[Noted | Picture]:
    prompt, tags = parse_tags(config.prompt)
    sampler = check_settings(config.negative_prompt, config.guidance_scale, config.sampler, config.steps)
    yield from note_prompts([prompt, config.negative_prompt])
    moment_steps(config.steps, config.num_moments)
    found = find_loras(tags, config.lora, config.lora_dir, config.runs_dir)
    base = yield from open_base_for(config, found)
    first = _recipe(config, base, prompt, sampler)
    check_size(base, first.width, first.height)
    if config.vae_tiling:
        base = with_tiles_for(base, first.width, first.height)
    check_clip_skip(base, first.clip_skip)
    painter, loras = yield from load_painter(base, found, config.device, config.mixed_precision, config.allow_partial)
    if config.strip and config.n > MAX_STRIP_ROWS:
        yield Noted(f"the strip shows the first {MAX_STRIP_ROWS} of {config.n} pictures")
    recipes = _counted_up(first, [lora.use for lora in loras], config.n)
    for start in range(0, config.n, config.batch_size):
        moments = config.num_moments if start < MAX_STRIP_ROWS else 0
        yield from painter.paint(recipes[start : start + config.batch_size], config.batch_size, moments)


def _recipe(config: GenerateConfig, base: BaseModel, prompt: str, sampler: str) -> Recipe:
    return Recipe(
        prompt=prompt,
        width=config.width or base.resolution,
        height=config.height or base.resolution,
        negative_prompt=config.negative_prompt,
        steps=config.steps,
        guidance_scale=config.guidance_scale or base.advice.guidance_scale,
        sampler=sampler,
        seed=config.seed,
        clip_skip=config.clip_skip or base.advice.clip_skip,
        base=base.name,
    )


def _counted_up(first: Recipe, loras: Sequence[LoraUse], num: int) -> list[Recipe]:
    """The recipe with its LoRAs, `num` times, seeds counting up."""
    return [replace(first, seed=first.seed + index, loras=tuple(loras)) for index in range(num)]


def _save_strip(config: GenerateConfig, drawn: Sequence[Picture]) -> Iterator[Event]:
    recipe, shown = drawn[0].recipe, drawn[:MAX_STRIP_ROWS]
    how = f"{recipe.sampler}, {recipe.steps} steps, guidance {plain_number(recipe.guidance_scale)}"
    yield from note_boxes([recipe.prompt])
    image = strip(shown, f"{recipe.prompt}\n{how}")
    path = save_new(config.out, f"{recipe.seed}-strip", image, png_texts(*(picture.recipe for picture in shown)))
    yield Composed(path, image, "strip")

"""Generate: from settings to pictures in a folder, told as events."""

import warnings
from collections.abc import Iterator, Sequence

from scumble.config.generate import GenerateConfig
from scumble.data.pictures import read_picture
from scumble.generate.device import memory_advice
from scumble.generate.events import Composed, Event, Noted, Painted
from scumble.generate.hires import final_size
from scumble.generate.infotext import png_texts
from scumble.generate.plan import Asked, all_tags, asked, check_recipe, note_size, recipes_of
from scumble.generate.prepare import (
    OUT_OF_MEMORY_ADVICE,
    load_painter,
    note_boxes,
    note_prompts,
    open_base_for,
    with_tiles_for,
)
from scumble.generate.prompt import find_loras
from scumble.generate.recipe import Picture, plain_number
from scumble.generate.save import check_folder, save_new
from scumble.generate.strip import strip

MAX_STRIP_ROWS = 64


def generate(config: GenerateConfig) -> Iterator[Event]:
    """Draw pictures and save each, with its recipe, into the folder `config.out`; nothing there is overwritten.

    Raises:
        ConfigError: a setting that cannot be; nothing was drawn then.
        DataError: the picture to start from cannot be read.
        LoraFileError, BaseModelError: a LoRA or the base cannot be used.
        OutOfMemoryError: the device has too little memory.
    """
    check_folder(config.out)
    wishes = [asked(config)]
    total = sum(len(one.seeds) for one in wishes)
    index = 0
    of_strip: list[Picture] = []
    for item in _advised(config, wishes):
        if isinstance(item, Noted):
            yield item
            continue
        index += 1
        path = save_new(config.out, str(item.recipe.seed), item.image, png_texts(item.recipe))
        yield Painted(path, item.image, item.recipe, index, total)
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
    return _advised(config, [asked(config)])


def _advised(config: GenerateConfig, wishes: Sequence[Asked]) -> Iterator[Noted | Picture]:
    with memory_advice(f"{OUT_OF_MEMORY_ADVICE}, or vae_tiling"):
        yield from _draw(config, wishes)


def _draw(config: GenerateConfig, wishes: Sequence[Asked]) -> Iterator[Noted | Picture]:
    yield from note_prompts([text for one in wishes for text in (one.prompt, one.settings.negative_prompt)])
    image = None if config.image is None else read_picture(config.image)
    found = find_loras(all_tags(wishes), config.lora, config.lora_dir, config.runs_dir)
    base = yield from open_base_for(config, found)
    firsts = [recipes_of(one, base, image)[0] for one in wishes]
    for first in firsts:
        check_recipe(base, first, config.num_moments)
    if config.vae_tiling:
        base = with_tiles_for(base, *max(final_size(base, first) for first in firsts))
    painter, loras = yield from load_painter(base, found, config.device, config.mixed_precision, config.allow_partial)
    if image is not None:
        painter.add_image(image)
        yield from note_size(base, firsts)
    uses = [lora.use for lora in loras]
    recipes = [recipe for one in wishes for recipe in recipes_of(one, base, image, uses)]
    shown = MAX_STRIP_ROWS if config.strip else 0
    if config.strip and len(recipes) > shown:
        yield Noted(f"the strip shows the first {shown} of {len(recipes)} pictures")
    yield from painter.painted(recipes[:shown], config.batch_size, config.num_moments)
    yield from painter.painted(recipes[shown:], config.batch_size)


def _save_strip(config: GenerateConfig, drawn: Sequence[Picture]) -> Iterator[Event]:
    recipe = drawn[0].recipe
    how = f"{recipe.sampler}, {recipe.steps} steps, guidance {plain_number(recipe.guidance_scale)}"
    prompts = list(dict.fromkeys(picture.recipe.prompt for picture in drawn))
    yield from note_boxes(prompts)
    image = strip(drawn, f"{prompts[0]}\n{how}" if len(prompts) == 1 else how)
    path = save_new(config.out, f"{recipe.seed}-strip", image, png_texts(*(picture.recipe for picture in drawn)))
    yield Composed(path, image, "strip")

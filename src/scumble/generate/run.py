"""Generate: from settings to pictures in a folder, told as events."""

import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

from scumble.config.generate import GenerateConfig
from scumble.data.pictures import read_picture
from scumble.device import memory_advice
from scumble.errors import ConfigError
from scumble.generate.enlarger import Enlarger
from scumble.generate.events import Composed, Event, Noted, Painted
from scumble.generate.few_steps import note_few_steps
from scumble.generate.hires import final_size
from scumble.generate.infotext import png_texts
from scumble.generate.passes import steps_taken
from scumble.generate.plan import (
    Asked,
    all_tags,
    asked,
    check_recipe,
    count_moments,
    folds,
    note_own_seeds,
    note_passes,
    note_size,
    recipes_of,
)
from scumble.generate.prepare import (
    OUT_OF_MEMORY_ADVICE,
    load_painter,
    note_boxes,
    note_prompts,
    open_base_for,
    with_tiles_for,
)
from scumble.generate.prompt import find_loras
from scumble.generate.prompts_file import wishes
from scumble.generate.recipe import Picture, plain_number
from scumble.generate.save import check_folder, save_new
from scumble.generate.strip import strip

MAX_STRIP_ROWS = 64


def generate(config: GenerateConfig) -> Iterator[Event]:
    """Draw pictures and save each, with its recipe, into the folder `config.out`; nothing there is overwritten.

    Raises:
        ConfigError: a setting that cannot be; nothing was drawn then.
        DataError: the picture to start from cannot be read.
        UpscalerError: the model that is to enlarge between the passes cannot be used.
        LoraFileError, BaseModelError: a LoRA or the base cannot be used.
        OutOfMemoryError: the device has too little memory.
    """
    check_folder(config.out)
    all_asked = [asked(wish) for wish in wishes(config)]
    total = sum(len(one.seeds) for one in all_asked)
    index = 0
    of_strip: list[Picture] = []
    for item in _advised(config, all_asked):
        if isinstance(item, Noted):
            yield item
            continue
        index += 1
        path = save_new(config.out, str(item.recipe.seed), item.image, png_texts(item.recipe, made=[item.made]))
        yield Painted(path, item.image, item.recipe, index, total, item.made)
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
    return _advised(config, [asked(wish) for wish in wishes(config)])


def _advised(config: GenerateConfig, all_asked: Sequence[Asked]) -> Iterator[Noted | Picture]:
    with memory_advice(f"{OUT_OF_MEMORY_ADVICE}, or vae_tiling"):
        yield from _draw(config, all_asked)


def _draw(config: GenerateConfig, all_asked: Sequence[Asked]) -> Iterator[Noted | Picture]:
    yield from note_prompts([text for one in all_asked for text in (one.prompt, one.settings.negative_prompt)])
    yield from note_own_seeds(config, all_asked)
    image = None if config.image is None else read_picture(config.image)
    found = find_loras(all_tags(all_asked), config.lora, config.lora_dir, config.runs_dir)
    base = yield from open_base_for(config, found)
    _refuse_uneven_strip(config, all_asked)
    firsts = [recipes_of(one, base, image)[0] for one in all_asked]
    num_moments = count_moments(config, firsts)
    for one, first in zip(all_asked, firsts, strict=True):
        with one.wish.blamed():
            check_recipe(base, first, num_moments)
    if config.vae_tiling:
        base = with_tiles_for(base, *max((final_size(base, first) for first in firsts), key=max))
    enlarger = _enlarger(config)
    painter, loras = yield from load_painter(base, found, config.device, config.mixed_precision, config.allow_partial)
    if image is not None:
        painter.add_image(image)
        yield from note_size(base, firsts)
    yield from note_passes(firsts)
    yield from dict.fromkeys(note for first in firsts for note in note_few_steps(first, base, loras))
    uses = [lora.use for lora in loras]
    recipes = [recipe for one in all_asked for recipe in recipes_of(one, base, image, uses)]
    if enlarger is not None:
        painter.add_upscaler(enlarger.upscaler.name, enlarger)
        recipes = [enlarger.told(recipe) for recipe in recipes]
    shown = MAX_STRIP_ROWS if config.strip else 0
    if config.strip and len(recipes) > shown:
        yield Noted(f"the strip shows the first {shown} of {len(recipes)} pictures")
    folded = folds(config.fold, recipes)
    yield from painter.painted(recipes[:shown], config.batch_size, num_moments, folded)
    yield from painter.painted(recipes[shown:], config.batch_size, folded=folded)
    if enlarger is not None and enlarger.shortage:
        yield Noted(enlarger.shortage, warning=True)


def _enlarger(config: GenerateConfig) -> Enlarger | None:
    """The model that enlarges between the passes, if one is to."""
    path = config.hires_upscaler
    return Enlarger.open(path, config.device, config.mixed_precision) if isinstance(path, Path) else None


def _refuse_uneven_strip(config: GenerateConfig, all_asked: Sequence[Asked]) -> None:
    """Raise where the rows of a strip would not have the same columns.

    Raises:
        ConfigError: prompts take different numbers of steps.
    """
    steps = sorted({one.settings.steps for one in all_asked})
    if config.strip and len(steps) > 1:
        raise ConfigError(
            f"strip: the prompts take {', '.join(map(str, steps))} steps, and a column is one step of all: give all the same"
        )


def _save_strip(config: GenerateConfig, drawn: Sequence[Picture]) -> Iterator[Event]:
    recipe = drawn[0].recipe
    taken, of_all = (
        steps_taken(recipe),
        "" if recipe.source is None else f" of {recipe.steps}, over {recipe.source.name}",
    )
    how = f"{recipe.sampler}, {taken} steps{of_all}, guidance {plain_number(recipe.guidance_scale)}"
    prompts = list(dict.fromkeys(picture.recipe.prompt for picture in drawn))
    yield from note_boxes(prompts)
    image = strip(drawn, f"{prompts[0]}\n{how}" if len(prompts) == 1 else how)
    path = save_new(
        config.out,
        f"{recipe.seed}-strip",
        image,
        png_texts(*(one.recipe for one in drawn), made=[one.made for one in drawn]),
    )
    yield Composed(path, image, "strip")

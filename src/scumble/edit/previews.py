"""Pictures that show what a LoRA does, and how they are asked for where nobody says."""

import json
from collections.abc import Generator, Mapping
from dataclasses import replace
from pathlib import Path

from scumble.config.generate import GenerateConfig
from scumble.config.publish import PublishConfig
from scumble.device import memory_advice
from scumble.errors import ConfigError
from scumble.families.find import is_local
from scumble.generate.events import Noted
from scumble.generate.prepare import OUT_OF_MEMORY_ADVICE, load_painter, note_prompts, open_base_for
from scumble.generate.prompt import FoundLora, parse_tags
from scumble.generate.recipe import LoraUse, Picture, Recipe
from scumble.generate.told import recipe_as_told

USUAL_GUIDANCE = 7.0
USUAL_SIDE_PX = 512


def prompts_for(config: PublishConfig, metadata: Mapping[str, str], trigger: str | None) -> tuple[str, ...]:
    """What the previews show.

    Raises:
        ConfigError: nobody says, or a prompt names a LoRA.
    """
    for prompt in config.prompt:
        if parse_tags(prompt)[1]:
            raise ConfigError(
                f"prompt: '{prompt}' names a LoRA: the published one is used by itself; leave the tag out"
            )
    if config.prompt:
        return config.prompt
    caption = commonest_caption(metadata)
    if trigger is None and caption is None and config.previews:
        raise ConfigError("no preview can be asked for: the file names no trigger; give --prompt, or --no-previews")
    return (f"a photo of {trigger}" if trigger is not None else caption or "",)


def commonest_caption(metadata: Mapping[str, str]) -> str | None:
    """The caption that most training pictures of a LoRA have, as its metadata tell; None where they do not."""
    try:
        folders = json.loads(metadata.get("ss_tag_frequency", "{}"))
        counts = {caption: count for folder in folders.values() for caption, count in folder.items()}
        return max(counts, key=lambda caption: counts[caption], default=None)
    except (ValueError, AttributeError, TypeError):
        return None  # other programs may put anything there


def usual_recipe(config: PublishConfig, use: LoraUse, metadata: Mapping[str, str], prompt: str, sampler: str) -> Recipe:
    """How to draw with a LoRA as its metadata tell, where no base is at hand."""
    width, _, height = metadata.get("modelspec.resolution", "").partition("x")
    is_size = width.isdecimal() and height.isdecimal()
    clip_skip = metadata.get("ss_clip_skip", "")
    return Recipe(
        prompt=prompt,
        width=int(width) if is_size else USUAL_SIDE_PX,
        height=int(height) if is_size else USUAL_SIDE_PX,
        negative_prompt=config.negative_prompt,
        steps=config.steps,
        guidance_scale=config.guidance_scale or USUAL_GUIDANCE,
        sampler=sampler,
        seed=config.seed,
        clip_skip=int(clip_skip) if clip_skip.isdecimal() and int(clip_skip) else 1,
        loras=(use,),
    )


def draw_previews(
    config: PublishConfig, use: LoraUse, prompts: tuple[str, ...], sampler: str
) -> Generator[Noted, None, list[Picture]]:
    """Draw every prompt with the LoRA, on the base that the settings or the file name.

    The recipes name the base without the folders of this machine.

    Raises:
        LoraFileError, BaseModelError: the LoRA or the base cannot be used.
        ConfigError: no such device.
        OutOfMemoryError: the device has too little memory.
    """
    found = FoundLora(use.name, use.weight, config.file)
    settings = GenerateConfig(
        prompt=prompts[0],
        base=config.base,
        negative_prompt=config.negative_prompt,
        steps=config.steps,
        guidance_scale=config.guidance_scale,
    )
    pictures: list[Picture] = []
    yield from note_prompts([*prompts, config.negative_prompt])
    with memory_advice(OUT_OF_MEMORY_ADVICE):
        base = yield from open_base_for(settings, [found])
        painter, _ = yield from load_painter(base, [found], config.device, None, config.allow_partial)
        shown_base = Path(base.name).name if is_local(base.name) else base.name
        first = replace(recipe_as_told(settings, base, sampler), loras=(use,), base=shown_base)
        wanted = [replace(first, prompt=prompt, seed=config.seed + i) for prompt in prompts for i in range(config.n)]
        for index, recipe in enumerate(wanted, 1):
            pictures += painter.paint([recipe])
            yield Noted(f"preview {index} of {len(wanted)}: '{recipe.prompt}', seed {recipe.seed}")
    return pictures

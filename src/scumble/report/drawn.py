"""Pictures that are drawn for a report: the base beside the LoRA, from the same noise."""

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image

from scumble.config.generate import GenerateConfig
from scumble.device import memory_advice
from scumble.errors import ConfigError
from scumble.files.places import plain_name
from scumble.generate.events import Noted
from scumble.generate.prepare import OUT_OF_MEMORY_ADVICE, check_settings, load_painter, note_prompts, open_base_for
from scumble.generate.prompt import FoundLora, parse_tags
from scumble.generate.recipe import Recipe, plain_number
from scumble.report.use import FULL


@dataclass(frozen=True)
class Pair:
    """A prompt, drawn by the base alone and with the LoRA.

    Attributes:
        prompt: what was asked for.
        how: sampler, steps, guidance and seed, in words.
        base, lora: RGB.
    """

    prompt: str
    how: str
    base: Image.Image
    lora: Image.Image


def refuse_tags(prompts: Sequence[str]) -> None:
    """Raise for a prompt that names a LoRA: the report draws that of its run.

    Raises:
        ConfigError: names it.
    """
    for prompt in prompts:
        if parse_tags(prompt)[1]:
            raise ConfigError(f"prompt '{prompt}': the report draws with the LoRA of its run; leave the tag out")


def draw_pairs(lora: Path, prompts: Sequence[str], seed: int) -> Generator[Noted, None, list[Pair]]:
    """Draw every prompt twice, on the base that the run was trained on.

    Args:
        lora: a file or PEFT folder in the run's folder, whose settings name the base.
        prompts: without LoRA tags; at least one.
        seed: of the noise of all of them.
    Yields:
        What the person should know.
    Raises:
        LoraFileError, BaseModelError: the LoRA or its base cannot be used.
        OutOfMemoryError: the device has too little memory.
    """
    found = FoundLora(plain_name(lora.name), FULL, lora)
    settings = GenerateConfig(prompt=prompts[0])
    sampler = check_settings("", None, settings.sampler, settings.steps)
    yield from note_prompts(prompts)
    pairs = []
    with memory_advice(OUT_OF_MEMORY_ADVICE):
        base = yield from open_base_for(settings, [found])
        painter, (opened,) = yield from load_painter(base, [found], None, None)
        for prompt in prompts:
            recipe = Recipe(
                prompt=prompt,
                width=base.resolution,
                height=base.resolution,
                steps=settings.steps,
                guidance_scale=base.advice.guidance_scale,
                sampler=sampler,
                seed=seed,
                clip_skip=base.advice.clip_skip,
                base=base.name,
            )
            plain, with_lora = painter.paint([recipe, replace(recipe, loras=(opened.use,))])
            pairs.append(Pair(prompt, _how(recipe), plain.image, with_lora.image))
    return pairs


def _how(recipe: Recipe) -> str:
    guidance = plain_number(recipe.guidance_scale)
    return f"{recipe.sampler}, {recipe.steps} steps, guidance {guidance}, seed {recipe.seed}, strength {plain_number(FULL)}"

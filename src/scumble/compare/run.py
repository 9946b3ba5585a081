"""Compare: the base and each LoRA beside it, from the same noise, in one labelled picture."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from PIL import Image

from scumble.config.compare import CompareConfig
from scumble.errors import ConfigError, ScumbleError
from scumble.families.base import BaseModel
from scumble.files.atomic import write_atomically
from scumble.generate.device import memory_advice
from scumble.generate.events import Composed, Event, Noted
from scumble.generate.grid import labelled_grid
from scumble.generate.infotext import png_texts
from scumble.generate.painter import Painter
from scumble.generate.prepare import (
    OUT_OF_MEMORY_ADVICE,
    check_settings,
    load_painter,
    note_boxes,
    note_prompts,
    open_base_for,
)
from scumble.generate.prompt import FoundLora, parse_tags
from scumble.generate.recipe import LoraUse, Picture, Recipe, plain_number
from scumble.generate.save import check_folder, png_bytes
from scumble.generate.strip import picture_label


def compare(config: CompareConfig) -> Iterator[Event]:
    """Draw every prompt and seed with the base and with each LoRA, and save one labelled picture of them all.

    Raises:
        ConfigError: a setting that cannot be; nothing was drawn then.
        LoraFileError, BaseModelError: a LoRA or the base cannot be used.
        OutOfMemoryError: the device has too little memory.
    """
    with memory_advice(OUT_OF_MEMORY_ADVICE):
        yield from _compare(config)


def _compare(config: CompareConfig) -> Iterator[Event]:
    sampler = check_settings(config.negative_prompt, config.guidance_scale, config.sampler, config.steps)
    _refuse_tags(config.prompt)
    yield from note_prompts([*config.prompt, config.negative_prompt])
    _check_out(config.out)
    found = named_apart(config.lora, config.weight)
    base = yield from open_base_for(config, found)
    painter, loras = yield from load_painter(base, found, config.device, config.mixed_precision, config.allow_partial)
    uses = [lora.use for lora in loras]
    rows = [painted_row(painter, recipe, uses) for recipe in _recipes(config, base, sampler)]
    yield from _save(config, rows, uses)


def painted_row(painter: Painter, recipe: Recipe, loras: Sequence[LoraUse]) -> list[Picture]:
    """One recipe drawn by the base alone, then with each LoRA alone, all from the same noise."""
    alone = replace(recipe, loras=())
    return painter.paint([alone, *(replace(recipe, loras=(lora,)) for lora in loras)])


def comparison(
    rows: Sequence[Sequence[Picture]], column_labels: Sequence[str], title: str | None = None
) -> Image.Image:
    """Rows of pictures as one labelled picture; a row is labelled by what its prompt and seed set apart."""
    firsts = [row[0] for row in rows]
    return labelled_grid(
        [[picture.image for picture in row] for row in rows],
        column_labels,
        [picture_label(first, firsts) for first in firsts],
        title,
    )


def named_apart(files: Sequence[Path], weight: float) -> list[FoundLora]:
    """LoRA files under names that differ: the file's own, with as many folders before it as that takes.

    Raises:
        ConfigError: a file that is not there, or given twice.
    """
    for path in files:
        if not path.exists():
            raise ConfigError(f"lora={path}: no such file")
        if files.count(path) > 1:
            raise ConfigError(f"lora={path}: given twice; each LoRA has one column")
    found = []
    for path in files:
        parts = path.absolute().with_suffix("").parts
        lengths = (length for length in range(1, len(parts)) if _alone(parts[-length:], path, files))
        found.append(FoundLora("/".join(parts[-next(lengths, len(parts)) :]), weight, path))
    return found


def _alone(ending: tuple[str, ...], path: Path, files: Sequence[Path]) -> bool:
    others = (other.absolute().with_suffix("").parts for other in files if other != path)
    return all(other[-len(ending) :] != ending for other in others)


def _refuse_tags(prompts: Sequence[str]) -> None:
    for prompt in prompts:
        if parse_tags(prompt)[1]:
            raise ConfigError(
                f"prompt '{prompt}': compare takes LoRAs by --lora only, one column each; leave the tag out"
            )


def _check_out(path: Path) -> None:
    if path.suffix.lower() != ".png":
        raise ConfigError(f"out={path}: must be the name of a .png file, such as {path.with_suffix('.png')}")
    if path.is_dir():
        raise ConfigError(f"out={path}: is a folder; give the name of a .png file")
    check_folder(path.parent)


def _recipes(config: CompareConfig, base: BaseModel, sampler: str) -> list[Recipe]:
    """One a row: every prompt with every seed."""
    return [
        Recipe(
            prompt=prompt.strip(),
            width=base.resolution,
            height=base.resolution,
            negative_prompt=config.negative_prompt,
            steps=config.steps,
            guidance_scale=config.guidance_scale or base.advice.guidance_scale,
            sampler=sampler,
            seed=config.seed + index,
            clip_skip=config.clip_skip or base.advice.clip_skip,
            base=base.name,
        )
        for prompt in config.prompt
        for index in range(config.n)
    ]


def _save(config: CompareConfig, rows: Sequence[Sequence[Picture]], loras: Sequence[LoraUse]) -> Iterator[Event]:
    weight = "" if config.weight == 1.0 else f" at {plain_number(config.weight)}"
    columns = ["base", *(f"{lora.name}{weight}" for lora in loras)]
    first = rows[0][0].recipe
    title = (
        f"{Path(first.base).name}\n{first.sampler}, {first.steps} steps, guidance {plain_number(first.guidance_scale)}, "
        f"seed {first.seed}" + (f" to {rows[-1][0].recipe.seed}" if config.n > 1 else "")
    )
    yield from note_boxes([title, *columns, *config.prompt])
    image = comparison(rows, columns, title)
    if config.out.exists():
        yield Noted(f"replacing {config.out}")
    with_loras_first = [picture.recipe for row in rows for picture in (*row[1:], row[0])]
    try:
        config.out.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(config.out, png_bytes(image, png_texts(*with_loras_first)))
    except OSError as error:
        raise ScumbleError(f"cannot write {config.out}: {error.strerror}") from error
    yield Composed(config.out, image, "comparison")

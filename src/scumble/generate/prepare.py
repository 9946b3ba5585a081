"""From settings to a loaded painter: everything that can be refused is refused before anything heavy is loaded."""

from collections.abc import Generator, Iterable, Iterator, Sequence

import torch

from scumble.config import ModelConfig
from scumble.config.drawing import DrawingConfig
from scumble.device import choose_dtype, slow_precision, take_device
from scumble.errors import ConfigError
from scumble.families.base import BaseModel
from scumble.families.find import open_base
from scumble.families.presets import names_its_base
from scumble.generate.events import Noted
from scumble.generate.fonts import undrawable_signs
from scumble.generate.loras import OpenedLora, base_of, model_of_run, open_loras, stranger_note
from scumble.generate.painter import Painter
from scumble.generate.prompt import FoundLora, parse_tags
from scumble.generate.samplers import find_sampler
from scumble.generate.weighted import other_syntax, parse_weights

OUT_OF_MEMORY_ADVICE = "take a smaller batch_size, width or height, or mixed_precision = 'fp16'"


def check_settings(
    negative_prompt: str, guidance_scale: float | None, sampler: str, steps: int, schedule: str | None = None
) -> str:
    """Refuse settings that cannot be or would have no effect.

    Returns:
        The sampler's name as the table spells it, its schedule with it.
    Raises:
        ConfigError: names the setting and what to do.
    """
    check_negative_prompt(negative_prompt, guidance_scale)
    return find_sampler(sampler, steps, schedule)


def check_negative_prompt(negative_prompt: str, guidance_scale: float | None) -> None:
    """Refuse a negative prompt that would do nothing, or something else than is meant.

    Raises:
        ConfigError: says why.
    """
    if parse_tags(negative_prompt)[1]:
        raise ConfigError("negative_prompt: a LoRA there has no effect; write it in the prompt, with a negative weight")
    if negative_prompt and guidance_scale == 1.0:
        raise ConfigError(
            "negative_prompt would have no effect: it needs guidance_scale above 1; change that, or leave negative_prompt out"
        )


def open_base_for(settings: DrawingConfig, found: Sequence[FoundLora]) -> Generator[Noted, None, BaseModel]:
    """Open the base that was asked for, else the one that the LoRAs were trained on as it was then, saying so.

    Raises:
        ConfigError: no base was asked for, and the LoRAs were trained on different ones.
        LoraFileError: a LoRA file cannot be read.
        BaseModelError: the base cannot be found.
    """
    name, model = settings.base, ModelConfig()
    if name is None and found and not names_its_base(settings.preset):
        name, note = base_of([lora.path for lora in found])
        model = model if settings.preset else model_of_run(found[0].path)
        yield Noted(note)
    return open_base(
        name,
        prediction_type=settings.prediction_type or model.prediction_type,
        zero_terminal_snr=model.zero_terminal_snr if settings.zero_terminal_snr is None else settings.zero_terminal_snr,
        vae=settings.vae or model.vae,
        preset=settings.preset or model.preset,
    )


def with_tiles_for(base: BaseModel, width: int, height: int) -> BaseModel:
    """A base that decodes pictures of this size in tiles.

    Raises:
        ConfigError: a tile is no smaller.
    """
    if max(width, height) <= base.tile_px:
        raise ConfigError(
            f"vae_tiling would have no effect: no side of {width} x {height} is longer than a tile, {base.tile_px} px; "
            "leave vae_tiling out"
        )
    return base.with_tiles()


def load_painter(
    base: BaseModel,
    found: Sequence[FoundLora],
    device: str | None,
    precision: str | None,
    allow_partial: bool = False,
) -> Generator[Noted, None, tuple[Painter, list[OpenedLora]]]:
    """Read the LoRAs, load the base and put the LoRAs within the painter's reach.

    Yields:
        What the person should know about the base and the LoRAs.
    Raises:
        ConfigError: no such device, or it cannot compute in this precision.
        LoraFileError: a LoRA file is damaged or does not fit the base.
        BaseModelError: a part of the base cannot be loaded.
    """
    place = take_device(device)
    dtype = choose_dtype(precision, place)
    yield from precision_notes(dtype, place)
    for note in base.notes:
        yield Noted(note)
    loras = open_loras(found, base, allow_partial)
    for lora in loras:
        yield from lora.notes
    painter = Painter.load(base, place, dtype)
    for lora in loras:
        stranger = stranger_note(lora, base, painter.denoiser)
        if stranger is not None:
            yield stranger
        painter.add_lora(lora.use.name, lora.file)
    return painter, loras


def precision_notes(dtype: torch.dtype, device: torch.device) -> Iterator[Noted]:
    """A warning where the device is slow in this precision."""
    slow = slow_precision(dtype, device)
    if slow is not None:
        yield Noted(slow, warning=True)


def note_prompts(prompts: Iterable[str]) -> Generator[Noted, None, None]:
    """Refuse weights on words that are no numbers, and warn of signs that mean something else in the WebUI.

    Raises:
        ConfigError: what stands for a weight is no number.
    """
    for prompt in dict.fromkeys(prompts):
        parse_weights(prompt)
        note = other_syntax(prompt)
        if note is not None:
            yield Noted(note, warning=True)


def note_boxes(labels: Iterable[str]) -> Generator[Noted, None, None]:
    """Warn of labels that no font here can write."""
    boxes = undrawable_signs(labels)
    if boxes:
        text = f"no font here has {boxes}: labels show boxes there; a font such as Noto Sans CJK, installed, helps"
        yield Noted(text, warning=True)

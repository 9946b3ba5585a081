"""From settings to numbers: open the base, find what the LoRA learnt from, draw, measure."""

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from scumble.compare.shelf import named_apart
from scumble.config.metrics import MeasureConfig
from scumble.data.captions import CaptionRule
from scumble.device import memory_advice, take_device
from scumble.errors import ConfigError, ScumbleError
from scumble.families.base import BaseModel, check_clip_skip
from scumble.generate.events import Noted
from scumble.generate.prepare import OUT_OF_MEMORY_ADVICE, check_settings, load_painter, note_prompts, open_base_for
from scumble.generate.prompt import parse_tags, split_prompts
from scumble.generate.told import recipe_as_told
from scumble.metrics import learnt_from
from scumble.metrics.album import Album
from scumble.metrics.base import Event, Subject, Training
from scumble.metrics.clip import open_clip
from scumble.metrics.eyes import Eyes
from scumble.metrics.judge_eyes import JudgeEyes, is_in_the_box
from scumble.metrics.measure import measure
from scumble.mini.lessons import OLD_DIGITS, plain_prompts
from scumble.runs.read import is_run

MOST_PROMPTS = 4
"""Captions that are drawn where no prompt is given."""

COMMON_THINGS = ("a photo of a cat", "a street in a city", "a bowl of fruit on a table", "a portrait of a woman")
"""What a LoRA shall leave as it is, where nothing else is said."""


def measure_lora(config: MeasureConfig) -> Iterator[Event]:
    """Measure one LoRA.

    Yields:
        What the person should know, how far the drawing is, and the numbers.
    Raises:
        ConfigError: a setting that cannot be; nothing was drawn then.
        LoraFileError, BaseModelError, DataError: the LoRA, the base or the pictures cannot be used.
        MetricError: a metric that was asked for cannot be measured here.
        OutOfMemoryError: the device has too little memory.
    """
    with memory_advice(OUT_OF_MEMORY_ADVICE):
        yield from _measure(config)


def _measure(config: MeasureConfig) -> Iterator[Event]:
    sampler = check_settings(
        config.negative_prompt, config.guidance_scale, config.sampler, config.steps, config.schedule
    )
    given = [*config.prompt, *config.other_prompt]
    _refuse_tags(given)
    yield from note_prompts([*given, config.negative_prompt])
    found = named_apart([config.lora], config.weight)
    base = yield from open_base_for(config, found)
    check_clip_skip(base, config.clip_skip or base.advice.clip_skip)
    known = yield from _known(config, base)
    eyes = eyes_for(base, config.clip, take_device(config.device))
    painter, loras = yield from load_painter(base, found, config.device, config.mixed_precision, config.allow_partial)
    subject = Subject(
        album=Album(painter, config.batch_size),
        loras=tuple(lora.use for lora in loras),
        recipe=recipe_as_told(config, base, sampler),
        prompts=config.prompt or known.prompts,
        other_prompts=config.other_prompt or other_prompts(base, known.prompts),
        seeds=tuple(range(config.seed, config.seed + config.n)),
        training=known.training,
        eyes=eyes,
        run=known.run,
    )
    yield from note_trigger(subject.other_prompts, known.trigger)
    yield from measure(subject, config.metrics)


@dataclass(frozen=True)
class _Known:
    """What is known of a LoRA beside its file.

    Attributes:
        training: the pictures.
        prompts: to draw where none are given.
        trigger: the word that calls what was learnt.
        run: folder of the run.
    """

    training: Training | None = None
    prompts: tuple[str, ...] = ()
    trigger: str | None = None
    run: Path | None = None


def _known(config: MeasureConfig, base: BaseModel) -> Generator[Noted, None, _Known]:
    run = config.lora.absolute().parent
    run_or_none = run if is_run(run) else None
    if config.data is not None:
        captions = CaptionRule(config.trigger, config.caption)
        training = learnt_from.of_folder(config.data, captions, base)
        return _Known(training, captions_to_draw(training), config.trigger, run_or_none)
    if run_or_none is None:
        return _Known()
    try:
        training, plan = learnt_from.of_run(run)
    except ScumbleError as error:
        yield Noted(
            f"the training pictures of run {run.name} are not to be had: {error}; --data names them", warning=True
        )
        return _Known(run=run)
    prompts = tuple(split_prompts(plan.config.validation.validation_prompt)) or captions_to_draw(training)
    return _Known(training, prompts, plan.config.data.trigger, run)


def captions_to_draw(training: Training) -> tuple[str, ...]:
    """A few captions of the training pictures, from the first to the last, none twice and none empty."""
    captions = list(dict.fromkeys(example.caption for example in training.examples if example.caption.strip()))
    count = min(MOST_PROMPTS, len(captions))
    return tuple(captions[index * len(captions) // count] for index in range(count))


def other_prompts(base: BaseModel, prompts: Sequence[str]) -> tuple[str, ...]:
    """Prompts for what LoRAs are usually not about: of the model in the box its digits, else common things."""
    if not is_in_the_box(base):
        return COMMON_THINGS
    return tuple(prompt for _, prompt in plain_prompts(OLD_DIGITS, len(OLD_DIGITS)) if prompt not in prompts)


def eyes_for(base: BaseModel, clip: str | None, device: torch.device) -> Eyes | None:
    """What looks at the pictures of a base: the CLIP model that is named, else of the model in the box its judge.

    Raises:
        MetricError: the CLIP model cannot be used.
    """
    if clip is not None:
        return open_clip(clip, device)
    return JudgeEyes() if is_in_the_box(base) else None


def _refuse_tags(prompts: Sequence[str]) -> None:
    for prompt in prompts:
        if parse_tags(prompt)[1]:
            raise ConfigError(
                f"prompt '{prompt}': the LoRA that is measured is the one that is named; leave the tag out"
            )


def note_trigger(other_prompts: Sequence[str], trigger: str | None) -> Iterator[Noted]:
    """A warning where a prompt that is to be without the trigger has it."""
    called = [prompt for prompt in other_prompts if trigger and trigger in prompt]
    if called:
        yield Noted(f"drift is to be that of prompts without the trigger, and '{called[0]}' has it", warning=True)

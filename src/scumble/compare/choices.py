"""The values of an axis, read by its kind."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from scumble.compare.axis import (
    BASE,
    CFG,
    CHECKPOINT,
    CLIP_SKIP,
    LORA,
    NEGATIVE,
    PROMPT,
    REPLACED,
    SAMPLER,
    SCHEDULE,
    SEED,
    SIZE,
    STEPS,
    Asked,
    Axis,
    Choice,
)
from scumble.compare.draft import Draft
from scumble.compare.shelf import checkpoint_label, files_of_run, find_on
from scumble.compare.values import numbers, texts, whole_numbers
from scumble.config import CompareConfig, from_values
from scumble.config.there import LORA_THERE
from scumble.errors import ConfigError
from scumble.generate.prompt import FoundLora
from scumble.generate.recipe import plain_number
from scumble.generate.samplers import find_sampler
from scumble.generate.samplers.names import find_schedule


@dataclass(frozen=True)
class Plain:
    """A kind whose values replace one field of a cell.

    Attributes:
        field: of the draft; a setting of the same name has no effect beside it, and its bounds hold here too.
        read: the text of the list -> its values.
        label: a value in words.
    """

    field: str
    read: Callable[[str], Sequence[Any]]
    label: Callable[[Any], str] = str


PLAIN = {
    PROMPT: Plain("prompt", texts, lambda prompt: prompt or "(empty prompt)"),
    NEGATIVE: Plain("negative_prompt", texts, lambda prompt: f"not: {prompt}" if prompt else "nothing negative"),
    SAMPLER: Plain("sampler", lambda text: [find_sampler(name) for name in texts(text)]),
    SCHEDULE: Plain("schedule", lambda text: [find_schedule(name) for name in texts(text)]),
    STEPS: Plain("steps", whole_numbers, lambda steps: f"{steps} steps"),
    CFG: Plain("guidance_scale", numbers, lambda scale: f"cfg {plain_number(scale)}"),
    CLIP_SKIP: Plain("clip_skip", whole_numbers, lambda skip: f"clip skip {skip}"),
    SEED: Plain("seed", whole_numbers, lambda seed: f"seed {seed}"),
    BASE: Plain("base", texts, lambda name: Path(name).name),
    SIZE: Plain("size", lambda text: [_size(each) for each in texts(text)], lambda size: f"{size[0]} x {size[1]}"),
}
"""Kind -> what its values replace."""


def read_choices(asked: Asked, shelf: Sequence[FoundLora], fixed: Sequence[FoundLora]) -> Axis:
    """An axis with its values.

    Args:
        asked: the axis as it was written.
        shelf: all LoRAs there are.
        fixed: those that are in every cell whatever a LoRA axis says.
    Raises:
        ConfigError: a value that cannot be, or is there twice.
    """
    try:
        choices = _choices(asked, shelf, fixed)
    except ConfigError as error:
        raise asked.wrong(error) from None
    if not choices:
        raise asked.wrong("no values")
    labels = [choice.label for choice in choices]
    twice = next((label for label in labels if labels.count(label) > 1), None)
    if twice is not None:
        raise asked.wrong(f"'{twice}' is there twice")
    return Axis(asked.kind, _weighed(asked.about, shelf), choices)


def _choices(asked: Asked, shelf: Sequence[FoundLora], fixed: Sequence[FoundLora]) -> list[Choice]:
    if asked.kind in PLAIN:
        plain = PLAIN[asked.kind]
        values = [_checked(plain.field, value) for value in plain.read(asked.values or "")]
        return [Choice(plain.label(value), _replacing(plain.field, value)) for value in values]
    if asked.kind == REPLACED:
        return _replacements(texts(asked.values or ""))
    if asked.kind in (LORA, CHECKPOINT):
        chosen = loras_on(asked, shelf)
        label = _lora_label if asked.kind == LORA else lambda loras, _: checkpoint_label(loras[0].path)
        return [Choice(label(loras, fixed), _taking(loras, fixed)) for loras in chosen]
    name = _weighed(asked.about, shelf)
    return [
        Choice(f"{name or 'weight'} {plain_number(weight)}", _weighing(weight, name))
        for weight in numbers(asked.values or "")
    ]


def loras_on(asked: Asked, shelf: Sequence[FoundLora]) -> list[tuple[FoundLora, ...]]:
    """The LoRAs of each value of a LoRA axis; where none are named, no LoRA and each of those given.

    Raises:
        ConfigError: a name that is not there.
    """
    if asked.kind == CHECKPOINT:
        by_path = {lora.path: lora for lora in shelf}
        return [(by_path[file],) for file in checkpoints(asked, [lora.path for lora in shelf])]
    if asked.values is None:
        return [(), *((lora,) for lora in shelf)]
    return [find_on(shelf, value) for value in texts(asked.values)]


def checkpoints(asked: Asked, given: Sequence[Path]) -> list[Path]:
    """The files of a checkpoint axis: those of a run in the order of their steps, or those that are named.

    Args:
        asked: the axis as it was written.
        given: the LoRA files given by --lora; the first tells the run where the axis names none.
    Raises:
        ConfigError: no run.
        LoraFileError: a file is not there.
    """
    named = [Path(value).expanduser() for value in texts(asked.values or "")] or list(given[:1])
    if not named:
        raise ConfigError("no run is named: write such as 'checkpoint: runs/photos', or give --lora a file of one")
    if len(named) > 1:
        for path in named:
            LORA_THERE.refuse(path)
        return named
    return files_of_run(named[0])


def _replacing(field: str, value: Any) -> Callable[[Draft], Draft]:
    return lambda draft: replace(draft, **{field: value})


def _taking(loras: tuple[FoundLora, ...], fixed: Sequence[FoundLora]) -> Callable[[Draft], Draft]:
    return lambda draft: replace(draft, loras=(*fixed, *loras))


def _weighing(weight: float, name: str) -> Callable[[Draft], Draft]:
    return lambda draft: draft.with_weight(weight, name)


def _replacements(values: Sequence[str]) -> list[Choice]:
    """The first is searched for, and each takes its place; "" takes it out."""
    searched = values[0]
    if not searched:
        raise ConfigError("what is searched for comes first, and cannot be empty")
    if len(values) == 1:
        raise ConfigError(f"'{searched}' is searched for, and nothing is to take its place: write such as 'cat, dog'")
    return [Choice(value or f"(no {searched})", _swapping(searched, value)) for value in values]


def _swapping(searched: str, value: str) -> Callable[[Draft], Draft]:
    def change(draft: Draft) -> Draft:
        if searched not in draft.prompt and searched not in draft.negative_prompt:
            raise ConfigError(f"'{searched}' is neither in the prompt '{draft.prompt}' nor in the negative one")
        return replace(
            draft,
            prompt=draft.prompt.replace(searched, value),
            negative_prompt=draft.negative_prompt.replace(searched, value),
        )

    return change


def _lora_label(loras: tuple[FoundLora, ...], fixed: Sequence[FoundLora]) -> str:
    if not loras:
        return "without" if fixed else "base"
    weight = loras[0].weight  # all have the same
    return " + ".join(lora.name for lora in loras) + ("" if weight == 1.0 else f" at {plain_number(weight)}")


def _weighed(about: str, shelf: Sequence[FoundLora]) -> str:
    """The name of the LoRA whose weight is meant; "" = of all."""
    return find_on(shelf, about)[0].name if about else ""


def _checked(field: str, value: Any) -> Any:
    """A value within the bounds that the setting of this name has."""
    if field in CompareConfig.model_fields and field != "prompt":
        from_values(CompareConfig, {"prompt": ("-",), "x": "-", field: value})
    return value


def _size(text: str) -> tuple[int, int]:
    """ "512x768" as width and height; "512" is square."""
    width, cross, height = text.lower().replace("×", "x").partition("x")
    try:
        return int(width), int(height if cross else width)
    except ValueError:
        raise ConfigError(f"'{text}': a size is written 512x768, or 512 for a square") from None

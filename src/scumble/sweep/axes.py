"""What the cells of a sweep differ in: settings of training, each with the values to try."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from scumble.config import TrainConfig
from scumble.config.sweep import CellsConfig, parse_varied
from scumble.errors import ConfigError, nearest

RANK, ALPHA, SEED, RATE = "adapter.rank", "adapter.alpha", "training.seed", "optimizer.learning_rate"
USUAL_RANKS = (4, 8, 16, 32)
ALPHA_OF_RANK = 2.0
"""Alpha is this many times the rank where ranks are varied and nothing else is said of alpha."""

OF_THE_BUDGET = {
    "max_train_steps", "num_train_epochs", "train_batch_size", "gradient_accumulation_steps", "num_processes",
}  # fmt: skip
VARIABLE: Mapping[str, set[str] | None] = {
    "adapter": None,
    "optimizer": None,
    "objective": None,
    "prior": None,
    "data": {
        "caption_dropout_rate", "random_flip", "center_crop", "shuffle_caption", "keep_tokens", "caption_tag_dropout_rate",
    },
    "training": {"seed", "mixed_precision", "base_packing", "purpose", "on_nan"},
}  # fmt: skip
"""Section -> its settings that change what is learnt but not what the validation asks; None = all of them."""


@dataclass(frozen=True)
class Axis:
    """A setting and the values to try.

    Attributes:
        place: "section.setting".
        values: as the schema has them.
    """

    place: str
    values: tuple[Any, ...]


def axes_of(cells: CellsConfig, base: TrainConfig) -> list[Axis]:
    """What the cells differ in, in the order of the settings; the usual ranks where nothing is said.

    Args:
        cells: what is to be tried.
        base: the training that each cell is but for that.
    Raises:
        ConfigError: a setting that there is not, is there twice, or would make the cells incomparable.
    """
    named = [
        Axis(RANK, cells.ranks),
        Axis(ALPHA, cells.alphas),
        Axis(RATE, cells.rates),
        Axis("adapter.algorithm", cells.algorithms),
        Axis("adapter.targets", tuple(tuple(entry.split("+")) for entry in cells.target_sets)),
        Axis(SEED, cells.seeds),
    ]
    axes = [axis for axis in named if axis.values] + [_varied(entry, base) for entry in cells.vary]
    places = [axis.place for axis in axes]
    for place in places:
        if places.count(place) > 1:
            raise ConfigError(f"{place} is varied twice: give its values once")
    return axes or [Axis(RANK, USUAL_RANKS)]


def _varied(entry: str, base: TrainConfig) -> Axis:
    place, texts = parse_varied(entry)
    section, _, name = place.partition(".")
    if section not in type(base).model_fields:
        raise ConfigError(f"vary: unknown section '{section}' in '{place}'{nearest(section, type(base).model_fields)}")
    values = getattr(base, section)
    if name not in type(values).model_fields:
        raise ConfigError(f"vary: unknown setting '{name}' in [{section}]{nearest(name, type(values).model_fields)}")
    _refuse_incomparable(section, name)
    default = type(values).model_fields[name].default
    found = tuple(_value(text, default) for text in texts)
    if len(set(found)) < len(found):
        raise ConfigError(f"vary: a value of {place} is there twice")
    return Axis(place, found)


def _refuse_incomparable(section: str, name: str) -> None:
    if section == "training" and name in OF_THE_BUDGET:
        raise ConfigError(
            f"vary: {section}.{name} cannot be varied, because every cell has the same budget; give it for all of them"
        )
    allowed = VARIABLE.get(section, set())
    if allowed is not None and name not in allowed:
        raise ConfigError(
            f"vary: {section}.{name} cannot be varied: the losses of the cells could not be compared, or it changes no "
            f"number of a LoRA; settings of {', '.join(VARIABLE)} can"
        )


def _value(text: str, default: Any) -> Any:
    """A value as it is written, for the schema to read: "none" where a setting may be left out, several joined by '+'."""
    if isinstance(default, tuple):
        return tuple(text.split("+"))
    return None if text == "none" and default is None else text

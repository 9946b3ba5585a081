"""The cells of a sweep: each a training of its own, with its place in the sweep's folder."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from scumble.config import TrainConfig, from_values, merged
from scumble.errors import ConfigError
from scumble.files.places import FILE_SUFFIX, PEFT_SUFFIX
from scumble.sweep.axes import ALPHA, ALPHA_OF_RANK, RANK, Axis
from scumble.train.ahead import name_of
from scumble.train.runfolder import RunFolder

LONGEST_NAME = 80
"""Signs: file systems allow 255 bytes, and a run adds to its name."""


@dataclass(frozen=True)
class Cell:
    """One training of a sweep.

    Attributes:
        name: in file names: "rank-4".
        words: in tables and pictures: "rank 4".
        values: "section.setting" -> value of everything that cells differ in.
        config: its whole settings.
    """

    name: str
    words: str
    values: Mapping[str, Any]
    config: TrainConfig

    @property
    def run(self) -> RunFolder:
        """The folder of its training."""
        output = self.config.output
        assert output.name is not None
        suffix = PEFT_SUFFIX if output.format == "peft" else FILE_SUFFIX
        return RunFolder(output.output_dir / output.name, output.name, suffix)


def cell_of(values: Mapping[str, Any], base: TrainConfig, folder: Path) -> Cell:
    """The cell with these values.

    Args:
        values: "section.setting" -> value.
        base: the training that it is but for them.
        folder: of the sweep.
    Raises:
        ConfigError: settings that cannot be together; names the cell.
    """
    words = ", ".join(f"{_short(place)} {_said(value)}" for place, value in values.items())
    name = _file_name("_".join(f"{_short(place).replace(' ', '-')}-{_said(value)}" for place, value in values.items()))
    changes: dict[str, Any] = {
        "validation": {"validation_seed": base.validation.seed_for(base.training.seed)},
        "output": {
            "output_dir": folder,
            "name": f"{base.output.name or name_of(base.data)}-{name}",
            "overwrite": False,
        },
    }
    for place, value in {**_alpha_of(values, base), **values}.items():
        section, _, setting = place.partition(".")
        changes = merged(changes, {section: {setting: value}})
    try:
        config = from_values(TrainConfig, merged(base.model_dump(), changes))
    except ConfigError as error:
        raise ConfigError(f"the cell '{words}': {error}") from None
    typed = {place: getattr(getattr(config, place.split(".")[0]), place.split(".")[1]) for place in values}
    return Cell(name, words, typed, config)


def grid(axes: Sequence[Axis]) -> list[dict[str, Any]]:
    """The values of every cell; the last axis moves fastest."""
    places = [axis.place for axis in axes]
    return [dict(zip(places, values, strict=True)) for values in product(*(axis.values for axis in axes))]


def _alpha_of(values: Mapping[str, Any], base: TrainConfig) -> dict[str, float]:
    if RANK not in values or base.adapter.alpha is not None:
        return {}
    return {ALPHA: ALPHA_OF_RANK * float(values[RANK])}


def _short(place: str) -> str:
    return place.partition(".")[2].replace("_", " ")


def _said(value: Any) -> str:
    if isinstance(value, tuple):
        return "+".join(map(str, value))
    if isinstance(value, float):
        return f"{value:g}"
    return "none" if value is None else str(value)


def _file_name(text: str) -> str:
    """A text as a plain file name; where that leaves something out, with a hash of the text."""
    plain = re.sub(r"[^A-Za-z0-9.+_-]+", "-", text)
    if plain == text and len(text) <= LONGEST_NAME:
        return text
    return f"{plain[:LONGEST_NAME]}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"

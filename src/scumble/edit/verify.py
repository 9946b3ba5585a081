"""Is a LoRA file right for a base, and what do other programs apply of it?"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from scumble.config.edit import VerifyConfig
from scumble.edit.given import GivenLora, kinship_of, read_given
from scumble.edit.programs.a1111 import hidden_in
from scumble.edit.programs.readings import Reading, distance, readings_of
from scumble.files.kinship import Kinship


@dataclass(frozen=True)
class Applied:
    """What a program applies of a file.

    Attributes:
        program: its name.
        words: what becomes of the layers.
        num_layers: how many layers it changes at all.
        distance: |change as applied - trained change| / |trained change| over all layers: 0 = as trained, 1 = as far
            as no change at all; None = infinitely far, because nothing was trained and something is applied.
    """

    program: str
    words: str
    num_layers: int
    distance: float | None


@dataclass(frozen=True)
class Verified:
    """What was found out about a file.

    Attributes:
        path: the file, as it was named.
        base: the base it was verified for.
        format: naming of its tensors.
        num_layers: how many layers it changes.
        kinship: is this the base it was trained on?
        programs: what each program applies.
        notes: what else the person should know.
        left_out: names in the file of what was not read; only where that was allowed.
    """

    path: str
    base: str
    format: str
    num_layers: int
    kinship: Kinship
    programs: tuple[Applied, ...]
    notes: tuple[str, ...]
    left_out: tuple[str, ...]


def verify(config: VerifyConfig) -> Verified:
    """Read a LoRA file for a base, and state what A1111, ComfyUI, diffusers, sd-scripts and LyCORIS apply of it.

    Raises:
        LoraFileError: damaged, no LoRA, or not wholly for this base.
        BaseModelError: the base cannot be opened.
    """
    given = read_given(config.file, config.base, allow_partial=config.allow_partial)
    readings = readings_of(config.file, given.file, given.table)
    return Verified(
        path=str(config.file),
        base=config.base,
        format=given.format,
        num_layers=len(given.file.layers),
        kinship=kinship_of(given),
        programs=tuple(_applied(program, reading, given) for program, reading in readings.items()),
        notes=_notes(given, readings),
        left_out=given.file.left_out,
    )


def _applied(program: str, reading: Reading, given: GivenLora) -> Applied:
    num_layers = sum(effect.is_applied for effect in reading.effects.values())
    apart = distance(reading, given.file, given.table)
    return Applied(program, reading.words, num_layers, apart if math.isfinite(apart) else None)


def _notes(given: GivenLora, readings: Mapping[str, Reading]) -> tuple[str, ...]:
    is_read = any(effect.is_applied for effect in readings["A1111"].effects.values())
    hidden = hidden_in(given.file.metadata, given.table.identity) if is_read else None
    return () if hidden is None else (hidden,)

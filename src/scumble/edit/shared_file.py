"""The one file of a LoRA that is shared: in kohya's naming with its family named, unless a program would lose by that."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from scumble.config.publish import PublishConfig
from scumble.edit.given import GivenLora, read_given
from scumble.edit.programs.readings import Reading, readings_of
from scumble.edit.provenance import as_one_for
from scumble.errors import LoraFileError
from scumble.files.read import write_lora
from scumble.generate.loras import model_of_run

FAMILY = "ss_base_model_version"
"""The metadata by which programs show and read a file as one of SDXL; without it, it is taken for another."""


@dataclass(frozen=True)
class SharedFile:
    """What is shared of a LoRA.

    Attributes:
        path: the source itself, or a file made of it.
        words: what it is, for the person.
        left_out: what of the source is not in it, see `LoraFile.left_out`.
        readings: program -> what it makes of it.
    """

    path: Path
    words: str
    left_out: tuple[str, ...]
    readings: Mapping[str, Reading]


def shared_file(config: PublishConfig, target: Path) -> SharedFile:
    """The file to share, read and found whole.

    It is the source itself if that is in kohya's naming and names its family, else a file that does. Where a program
    that applies the source as trained would apply that otherwise, the naming stays the source's.

    Args:
        config: the settings.
        target: where the file is written if it is another one.
    Raises:
        LoraFileError: the source is damaged, no LoRA, or not wholly for the base.
        BaseModelError: the base cannot be opened.
    """
    given = _read(config)
    name, left_out = config.file.name, given.file.left_out
    own = readings_of(config.file, given.file, given.table)
    if not left_out and given.format == "kohya" and FAMILY in given.file.metadata:
        return SharedFile(config.file, f"shared is {name} itself", (), own)
    readings = _written(given, target, "kohya")
    losing = [program for program, reading in own.items() if _loses(reading, readings[program])]
    if not losing:
        words = f"shared is {name} in kohya's naming, with its family named"
        return SharedFile(target, words, left_out, readings)
    words = f"shared is {name} in its own naming: in kohya's {' and '.join(losing)} would apply it otherwise"
    if left_out:
        return SharedFile(target, words, left_out, _written(given, target, given.format))
    return SharedFile(config.file, words, (), own)


def _written(given: GivenLora, target: Path, format: str) -> dict[str, Reading]:
    """Write it with its family named; what programs make of that file."""
    metadata = as_one_for(given.file.metadata, given.table.identity)
    write_lora(replace(given.file, metadata=metadata), target, format, given.dtype)
    again = read_given(target, table=given.table)
    return readings_of(target, again.file, given.table)


def _loses(before: Reading, after: Reading) -> bool:
    """Whether a layer that was applied as trained is so no more."""
    return any(effect.is_as_trained and not after.effects[key].is_as_trained for key, effect in before.effects.items())


def _read(config: PublishConfig) -> GivenLora:
    """The LoRA, read for the base of the settings, else for a known architecture, else for the base of its run."""
    try:
        return read_given(config.file, config.base, allow_partial=config.allow_partial)
    except LoraFileError:
        base = model_of_run(config.file).base
        if config.base is not None or base is None:
            raise
        return read_given(config.file, base, allow_partial=config.allow_partial)

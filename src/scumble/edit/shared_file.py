"""The one file of a LoRA that is shared, which every program reads and knows the family of."""

from dataclasses import replace
from pathlib import Path

from scumble.config.publish import PublishConfig
from scumble.edit.given import GivenLora, read_given
from scumble.edit.provenance import as_one_for
from scumble.errors import LoraFileError
from scumble.families.checkpoint import read_header
from scumble.files.detect import format_of
from scumble.files.guard import read_metadata
from scumble.files.read import write_lora
from scumble.generate.loras import model_of_run

FAMILY = "ss_base_model_version"
"""The metadata by which programs show and read a file as one of SDXL; without it, it is taken for another."""


def shared_file(config: PublishConfig, target: Path) -> tuple[Path, tuple[str, ...]]:
    """The file to share: itself if it is in kohya's naming and names its family, else one that does.

    Args:
        config: the settings.
        target: where the file is written if it is another one.
    Returns:
        The file, and what of the source is not in it, see `LoraFile.left_out`.
    Raises:
        LoraFileError: the source is damaged, no LoRA, or not wholly for the base.
        BaseModelError: the base cannot be opened.
    """
    if not config.file.is_dir() and _is_known_everywhere(config.file):
        return config.file, ()
    given = _read(config)
    metadata = as_one_for(given.file.metadata, given.table.identity)
    write_lora(replace(given.file, metadata=metadata), target, "kohya", given.dtype)
    return target, given.file.left_out


def _is_known_everywhere(file: Path) -> bool:
    naming = format_of(read_header(file, file.name).shapes)
    return naming == "kohya" and FAMILY in read_metadata(file)


def _read(config: PublishConfig) -> GivenLora:
    """The LoRA, read for the base of the settings, else for a known architecture, else for the base of its run."""
    try:
        return read_given(config.file, config.base, allow_partial=config.allow_partial)
    except LoraFileError:
        base = model_of_run(config.file).base
        if config.base is not None or base is None:
            raise
        return read_given(config.file, base, allow_partial=config.allow_partial)

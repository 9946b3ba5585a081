"""The one file of a LoRA that is shared, which every program reads: itself, or a PEFT folder in kohya's naming."""

from dataclasses import replace
from pathlib import Path

from scumble.config.publish import PublishConfig
from scumble.edit.given import GivenLora, read_given
from scumble.edit.provenance import as_one_for
from scumble.errors import LoraFileError
from scumble.files.read import write_lora
from scumble.generate.loras import model_of_run


def shared_file(config: PublishConfig, target: Path) -> tuple[Path, tuple[str, ...]]:
    """The file to share, and what of a PEFT folder is not in it, see `LoraFile.left_out`.

    Args:
        config: the settings.
        target: where the file is written if a PEFT folder is published.
    Raises:
        LoraFileError: the folder is none of PEFT's, damaged, or not wholly for the base.
        BaseModelError: the base cannot be opened.
    """
    if not config.file.is_dir():
        return config.file, ()
    given = _read(config)
    metadata = as_one_for(given.file.metadata, given.table.identity)
    write_lora(replace(given.file, metadata=metadata), target, "kohya", given.dtype)
    return target, given.file.left_out


def _read(config: PublishConfig) -> GivenLora:
    """The folder, read for the base of the settings, else for a known architecture, else for the base of its run."""
    try:
        return read_given(config.file, config.base, allow_partial=config.allow_partial)
    except LoraFileError:
        base = model_of_run(config.file).base
        if config.base is not None or base is None:
            raise
        return read_given(config.file, base, allow_partial=config.allow_partial)

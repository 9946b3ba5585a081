"""The LoRA that a run goes on from: read for the base, and refused where it is not made for it."""

import json
from pathlib import Path

from scumble.edit.change import refuse_misfits
from scumble.errors import LoraFileError
from scumble.families.base import BaseModel
from scumble.families.layers import table_of
from scumble.files.left_out import left_out_words
from scumble.files.lorafile import LoraFile
from scumble.files.read import read_lora
from scumble.generate.events import Noted


def read_init(path: Path, base: BaseModel, allow_partial: bool) -> LoraFile:
    """The LoRA to start from; no weight of the base is read.

    Args:
        path: the file or PEFT folder.
        base: what is trained.
        allow_partial: see `files.read.read_lora`.
    Raises:
        LoraFileError: damaged, no LoRA, or not wholly for this base.
    """
    init = read_lora(path, base.layer_paths(), allow_partial)
    try:
        refuse_misfits(init, table_of(base))
    except LoraFileError as error:
        raise LoraFileError(f"{path}: {error}") from error
    return init


def notes_on(init: LoraFile | None) -> list[Noted]:
    """What the person should know of the LoRA to start from."""
    if init is None or not init.left_out:
        return []
    return [Noted(f"the LoRA to go on from: {left_out_words(init.left_out)}", warning=True)]


def targets_of(init: LoraFile) -> tuple[str, ...]:
    """The presets and patterns by which the layers of a LoRA were once chosen; none where its file does not say."""
    try:
        said = json.loads(init.metadata.get("scumble.targets", "[]"))
    except ValueError:
        return ()
    return tuple(map(str, said)) if isinstance(said, list) else ()

"""Where results go: nothing is overwritten that was not meant to be."""

from pathlib import Path

import torch

from scumble.errors import ConfigError
from scumble.files.folder import peft_files
from scumble.files.places import FILE_SUFFIX, SETTINGS, WEIGHTS

PRECISIONS = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


def check_out(out: Path, overwrite: bool, sources: tuple[Path, ...] = ()) -> None:
    """Raise if a result cannot or must not be written there; asked before any work.

    Args:
        out: file or folder of the result.
        overwrite: whether something that is there may be replaced.
        sources: what the result is made from, which it never replaces.
    Raises:
        ConfigError: says what is there.
    """
    if not out.parent.is_dir():
        raise ConfigError(f"out={out}: there is no folder {out.parent}; make it first")
    same = [source for source in sources if source.exists() and out.exists() and source.samefile(out)]
    if same:
        raise ConfigError(f"out={out}: it is what the result is made from; give another name")
    inside = next((source for source in sources if out.resolve() in source.resolve().parents), None)
    if inside is not None:
        raise ConfigError(f"out={out}: {inside} lies in it, and the result is made from that; give another name")
    is_there = any(out.iterdir()) if out.is_dir() else out.exists()
    if is_there and not overwrite:
        raise ConfigError(f"out={out}: is there already; give another name, or --overwrite to replace it")


def check_peft_folder(out: Path, overwrite: bool) -> None:
    """Raise if PEFT's folders cannot or must not be written there; asked before any work.

    Args:
        out: the folder, or the weights in it.
        overwrite: whether PEFT's files there may be replaced.
    Raises:
        ConfigError: another file's name, or files are there.
    """
    is_taken = out.is_dir() if out.name == WEIGHTS else out.is_file()
    if is_taken or (out.suffix.lower() == FILE_SUFFIX and out.name != WEIGHTS):
        raise ConfigError(f"out={out}: PEFT reads a folder with {WEIGHTS} and {SETTINGS} in it; name a folder")
    found = peft_files(out)
    if found and not overwrite:
        raise ConfigError(f"out={out}: {found[0]} is there already; give another name, or --overwrite to replace it")


def check_file(out: Path) -> None:
    """Raise unless the name is that of a safetensors file.

    Raises:
        ConfigError: another suffix, or a folder.
    """
    if out.suffix.lower() != ".safetensors" or out.is_dir():
        raise ConfigError(f"out={out}: the result is one file, whose name ends in .safetensors")

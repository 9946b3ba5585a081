"""Where results go: nothing is overwritten that was not meant to be."""

from pathlib import Path

import torch

from scumble.errors import ConfigError

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
    is_there = any(out.iterdir()) if out.is_dir() else out.exists()
    if is_there and not overwrite:
        raise ConfigError(f"out={out}: is there already; give another name, or --overwrite to replace it")


def check_file(out: Path) -> None:
    """Raise unless the name is that of a safetensors file.

    Raises:
        ConfigError: another suffix, or a folder.
    """
    if out.suffix.lower() != ".safetensors" or out.is_dir():
        raise ConfigError(f"out={out}: the result is one file, whose name ends in .safetensors")

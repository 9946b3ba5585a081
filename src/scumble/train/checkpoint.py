"""Checkpoints: folders of safetensors and JSON that are either there in full or not at all.

A checkpoint is written into a hidden folder, every file synced to the disk, then renamed to its final name. A manifest
holds the hash of every file, so that a damaged checkpoint is found and the one before it is used.
"""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load, save
from torch import Tensor

from scumble.errors import CheckpointError
from scumble.files.atomic import sync_folder

MANIFEST = "manifest.json"
STATE = "state.json"
PREFIX = "step-"
HIDDEN = ".writing-"
NAME = re.compile(rf"{PREFIX}(\d+)(?:-attempt-(\d+))?")


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint read from the disk.

    Attributes:
        step: optimizer steps done.
        tensors: group -> name -> tensor, as written.
        state: the JSON values, as written.
        path: its folder.
        damaged: newer checkpoints that were passed over, with the reason.
    """

    step: int
    tensors: Mapping[str, Mapping[str, Tensor]]
    state: Mapping[str, Any]
    path: Path
    damaged: tuple[str, ...] = ()


def write_checkpoint(
    folder: Path,
    step: int,
    tensors: Mapping[str, Mapping[str, Tensor]],
    state: Mapping[str, Any],
    keep: int,
    *,
    attempt: int = 0,
) -> Path:
    """Write a checkpoint so that a power cut at any moment leaves it whole or absent.

    Args:
        folder: where the checkpoints of a run lie.
        step: optimizer steps done.
        tensors: group -> name -> tensor; a file a group.
        state: values that JSON holds exactly.
        keep: how many checkpoints stay, the newest; older ones are removed after the new one is safe.
        attempt: how often the run went back to an earlier step before; what it did after that is newer than all before.
    Returns:
        The checkpoint's folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    final = folder / (f"{PREFIX}{step:08d}" + (f"-attempt-{attempt + 1}" if attempt else ""))
    hidden = folder / f"{HIDDEN}{step:08d}"
    for left in folder.glob(f"{HIDDEN}*"):  # by a process that was killed while it wrote
        shutil.rmtree(left)
    try:
        _write_hidden(hidden, step, tensors, state)
    except OSError:
        shutil.rmtree(hidden, ignore_errors=True)  # on a full disk its room is needed
        raise
    if final.exists() and not _is_whole(final):
        shutil.rmtree(final)
    if final.exists():  # the same step again: steps are deterministic, what lies there is this checkpoint
        shutil.rmtree(hidden)
    else:
        hidden.rename(final)
    sync_folder(folder)
    for old in list_checkpoints(folder)[:-keep]:
        _remove(old)
    return final


def _remove(path: Path) -> None:
    """Take a checkpoint's name first: half of it is never seen under it."""
    hidden = path.with_name(f"{HIDDEN}{path.name}")
    path.rename(hidden)
    shutil.rmtree(hidden)


def _write_hidden(
    hidden: Path, step: int, tensors: Mapping[str, Mapping[str, Tensor]], state: Mapping[str, Any]
) -> None:
    hidden.mkdir()
    contents = {
        f"{group}.safetensors": save({name: tensor.detach().cpu().contiguous() for name, tensor in named.items()})
        for group, named in tensors.items()
    }
    contents[STATE] = json.dumps({"step": step, **state}, indent=1, sort_keys=True).encode()
    hashes = {name: hashlib.sha256(data).hexdigest() for name, data in contents.items()}
    contents[MANIFEST] = json.dumps(hashes, indent=1, sort_keys=True).encode()
    for name, data in contents.items():
        with (hidden / name).open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    sync_folder(hidden)


def list_checkpoints(folder: Path) -> list[Path]:
    """The committed checkpoints, oldest first."""
    matches = [(NAME.fullmatch(path.name), path) for path in folder.glob(f"{PREFIX}*") if path.is_dir()]
    named = [((int(match[2] or 1), int(match[1])), path) for match, path in matches if match is not None]
    return [path for _, path in sorted(named)]


def read_newest_checkpoint(folder: Path) -> Checkpoint | None:
    """The newest checkpoint that is whole; None where there is no checkpoint at all.

    Raises:
        CheckpointError: there are checkpoints and every one is damaged.
    """
    damaged: list[str] = []
    for path in reversed(list_checkpoints(folder)):
        try:
            step, tensors, state = _read(path)
        except CheckpointError as error:
            damaged.append(str(error))
        else:
            return Checkpoint(step, tensors, state, path, tuple(damaged))
    if damaged:
        raise CheckpointError("no checkpoint is whole: " + "; ".join(damaged))
    return None


def _is_whole(path: Path) -> bool:
    try:
        _read(path)
    except CheckpointError:
        return False
    return True


def _read(path: Path) -> tuple[int, dict[str, dict[str, Tensor]], dict[str, Any]]:
    try:
        hashes = json.loads((path / MANIFEST).read_bytes())
        if not isinstance(hashes, dict) or STATE not in hashes:
            raise CheckpointError(f"{path.name}: {MANIFEST} does not list the checkpoint's files")
        contents = {name: (path / name).read_bytes() for name in hashes}
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path.name}: {error}") from None
    for name, data in contents.items():
        if hashlib.sha256(data).hexdigest() != hashes[name]:
            raise CheckpointError(f"{path.name}: {name} is not what was written (hash differs)")
    state = json.loads(contents.pop(STATE))
    step = int(state.pop("step"))
    return step, {name.removesuffix(".safetensors"): load(data) for name, data in contents.items()}, state

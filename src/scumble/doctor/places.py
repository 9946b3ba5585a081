"""The folders that are written to: whether they can be, how much they hold, how much room is left."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from scumble.doctor.finding import Finding, tried
from scumble.quantities import amount

LITTLE_ROOM = 5e9
"""Bytes: a base and its cache may need more."""


def look_at_places() -> Iterator[Finding]:
    """The cache of latents and text states, that of downloads, the folder for temporary files, and this one."""
    from huggingface_hub.constants import HF_HUB_CACHE

    from scumble.data.cache import default_cache_dir

    yield _place("cache", default_cache_dir(), "give another place: --cache-dir FOLDER", is_measured=True)
    yield _place("downloads", Path(HF_HUB_CACHE), "set HF_HOME to a folder that can be written to", is_measured=True)
    yield _place("temporary files", Path(tempfile.gettempdir()), "set TMPDIR to a folder that can be written to")
    yield _place("this folder", Path.cwd(), "give another place for runs: --output-dir FOLDER")


def _place(what: str, folder: Path, remedy: str, is_measured: bool = False) -> Finding:
    found = tried(what, lambda: _said(folder, is_measured), remedy)
    existing = _existing(folder)
    free = shutil.disk_usage(existing).free
    if found.state == "works" and free < LITTLE_ROOM:
        little = f"{found.text}: little, because a base may need several"
        return Finding(what, "fails", little, f"make room there, or {remedy}")
    return found


def _said(folder: Path, is_measured: bool) -> str:
    """What a folder holds, and how much room there is, after something was written there.

    Raises:
        OSError: nothing can be.
    """
    existing = _existing(folder)
    handle, name = tempfile.mkstemp(prefix=".scumble-doctor-", dir=existing)
    try:
        os.write(handle, b"x" * 4096)
    finally:
        os.close(handle)
        Path(name).unlink()
    size = f"{amount(_bytes_in(folder))}, " if is_measured and folder.exists() else ""
    made = "" if folder.exists() else "made when needed, "
    return f"{folder}: {size}{made}can be written to, {amount(shutil.disk_usage(existing).free)} free"


def _existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that is there."""
    return next(place for place in (folder, *folder.absolute().parents) if place.is_dir())


def _bytes_in(folder: Path) -> int:
    """Of all files in a folder, each once, though links lead to it."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())

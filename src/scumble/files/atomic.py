"""Files that are either the old ones or the new ones, whole, whatever happens while they are written."""

import os
import secrets
from pathlib import Path


def write_atomically(path: str | Path, content: bytes) -> None:
    """Write a file so that a reader, or a crash at any moment, finds the old content or the new, never a part.

    Args:
        path: the file; its folder must exist.
        content: all of it.
    Raises:
        OSError: the disk is full, the folder is missing or read-only; the old file is untouched.
    """
    path = Path(path)
    # a short name of its own: the target's may be as long as the file system allows
    temporary = path.with_name(f".scumble-{secrets.token_hex(8)}.tmp")
    try:
        with temporary.open("xb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: str | Path) -> None:
    """Make renames inside a folder survive a power cut, where the platform can: Windows cannot open a folder."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

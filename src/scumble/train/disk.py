"""What a disk may refuse: pictures that are written whole, and what to say of one that is full or read-only."""

import errno
import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image

from scumble.errors import DiskError, ScumbleError
from scumble.files.atomic import write_atomically

FULL = {errno.ENOSPC, errno.EFBIG, *([errno.EDQUOT] if hasattr(errno, "EDQUOT") else [])}
REFUSED = {errno.EROFS, errno.EACCES, errno.EPERM}


def write_png(path: Path, picture: Image.Image) -> None:
    """Write a picture, whole or not at all."""
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    write_atomically(path, buffer.getvalue())


@contextmanager
def disk_advice(folder: Path) -> Iterator[None]:
    """Say in one line what to do where the disk refuses what a run writes.

    Args:
        folder: of the run.
    Raises:
        DiskError: the disk is full, or the folder may not be written to.
    """
    try:
        yield
    except (OSError, ScumbleError) as error:
        cause = error if isinstance(error, OSError) else error.__cause__
        if not isinstance(cause, OSError) or cause.errno not in FULL | REFUSED:
            raise
        raise DiskError(
            f"{_what_to_do(cause, folder)}. What was written before is whole: the same command with --resume goes on"
        ) from error


def _what_to_do(cause: OSError, folder: Path) -> str:
    """A sentence without its stop; a file that lies elsewhere may also be one that was only to be read."""
    advice = "make room" if cause.errno in FULL else "allow writing there, or choose another output_dir"
    if cause.filename is None or Path(cause.filename).absolute().is_relative_to(folder.absolute()):
        return f"cannot write to {folder} ({cause}): {advice}"
    return f"cannot use {cause.filename} ({cause.strerror}): {'make room' if cause.errno in FULL else 'allow that'}"

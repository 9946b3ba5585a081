"""Files that are either the old ones or the new ones, whole, whatever happens while they are written."""

import os
import secrets
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO


def write_atomically(path: str | Path, content: bytes) -> None:
    """Write a file so that a reader, or a crash at any moment, finds the old content or the new, never a part.

    Args:
        path: the file; its folder must exist.
        content: all of it.
    Raises:
        OSError: the disk is full, the folder is missing or read-only; the old file is untouched.
    """
    with written_atomically(path) as stream:
        stream.write(content)


@contextmanager
def written_atomically(path: str | Path) -> Iterator[BinaryIO]:
    """A stream for a file that takes its name, whole and on the disk, at the end; on an error nothing is changed.

    Args:
        path: the file; its folder must exist.
    Raises:
        OSError: the disk is full, the folder is missing or read-only; it names the file, and the old one is untouched.
    """
    path = Path(path)
    # a short name of its own: the target's may be as long as the file system allows
    temporary = path.with_name(f".scumble-{secrets.token_hex(8)}.tmp")
    try:
        with temporary.open("xb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except OSError as error:
        _forget(temporary)
        _raise_about(path, temporary, error)
        raise
    except BaseException:
        _forget(temporary)
        raise
    sync_folder(path.parent)


def _forget(temporary: Path) -> None:
    with suppress(OSError):  # what went wrong before is what counts
        temporary.unlink()


def _raise_about(path: Path, temporary: Path, error: OSError) -> None:
    """Raise the error with the name that was wanted in place of the temporary one; do nothing if it is about another file."""
    if error.errno is not None and error.filename in {None, str(temporary)}:
        raise OSError(error.errno, error.strerror, str(path)) from error


def write_together(contents: Mapping[Path, bytes], outdated: Iterable[Path] = ()) -> None:
    """Write files that belong together: no old one is touched before all new ones lie on the disk beside their places.

    They take their names the last first, and the outdated ones go after them: where a reader looks at the first of the
    files, or at an outdated one, before the others, it finds the old set or the new one at any moment.

    Args:
        contents: file -> all of it; their folders must exist.
        outdated: files that do not belong to them any more.
    Raises:
        OSError: the disk is full, or a folder is read-only; nothing was changed unless it refuses a new name.
    """
    with ExitStack() as stack:
        for path, content in contents.items():
            stream = stack.enter_context(written_atomically(path))
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
    for path in outdated:
        path.unlink(missing_ok=True)
        sync_folder(path.parent)


@contextmanager
def whole_folder(out: Path) -> Iterator[Path]:
    """A folder to fill that takes the name `out` at the end, in place of what is there; on an error nothing is changed.

    Args:
        out: its parent must exist.
    Raises:
        OSError: the disk is full, or the parent is read-only; the old folder is untouched.
    """
    token = secrets.token_hex(8)
    folder, old = (out.parent / f".scumble-{token}.{ending}" for ending in ("tmp", "old"))
    try:
        folder.mkdir()
    except OSError as error:
        _raise_about(out, folder, error)
        raise
    try:
        yield folder
        _sync_all(folder)
        if out.exists():
            out.rename(old)
        folder.rename(out)
    except BaseException:
        if old.exists() and not out.exists():
            old.rename(out)
        raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    sync_folder(out.parent)
    shutil.rmtree(old, ignore_errors=True)


def _sync_all(folder: Path) -> None:
    """Everything in a folder on the disk."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb+") as stream:
                os.fsync(stream.fileno())
        else:
            sync_folder(path)
    sync_folder(folder)


def sync_folder(folder: str | Path) -> None:
    """Make renames inside a folder survive a power cut, where the platform can: Windows cannot open a folder."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

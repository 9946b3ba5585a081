"""Who uses a cache: every run holds a lock in it, so that nobody clears it away meanwhile."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from scumble.errors import DataError

FOLDER = "in-use"
GATE = "gate.lock"
"""Held while a run comes or goes, and as long as the cache is pruned."""


@contextmanager
def cache_in_use(cache: Path) -> Iterator[None]:
    """Use a cache until the with-block ends or the process does; waits while it is pruned.

    Args:
        cache: its folder; made if needed.
    Raises:
        DataError: the folder cannot be written to.
    """
    locks = _locks_of(cache)
    own = FileLock(locks / f"{secrets.token_hex(8)}.lock")
    with _refusals_named(cache), FileLock(locks / GATE):
        own.acquire()
    try:
        yield
    finally:
        with FileLock(locks / GATE):
            own.release()
            Path(own.lock_file).unlink(missing_ok=True)


@contextmanager
def cache_alone(cache: Path) -> Iterator[None]:
    """Have a cache to oneself until the with-block ends.

    Args:
        cache: its folder.
    Raises:
        DataError: a run uses it, another process prunes it, or it cannot be written to.
    """
    locks = _locks_of(cache)
    gate = FileLock(locks / GATE)
    try:
        with _refusals_named(cache):
            gate.acquire(timeout=0)
    except Timeout:
        raise DataError(f"{cache} is being pruned, or a run is just beginning with it: try again") from None
    try:
        num_users = sum(_is_held(path) for path in locks.glob("*.lock") if path.name != GATE)
        if num_users:
            runs = "a run uses" if num_users == 1 else f"{num_users} runs use"
            raise DataError(f"{runs} {cache}: nothing was removed; try again afterwards, or see with --dry-run")
        yield
    finally:
        gate.release()


def _locks_of(cache: Path) -> Path:
    locks = cache / FOLDER
    with _refusals_named(cache):
        locks.mkdir(parents=True, exist_ok=True)
    return locks


@contextmanager
def _refusals_named(cache: Path) -> Iterator[None]:
    """Errors of the system as one that names the cache, not a lock in it."""
    try:
        yield
    except Timeout:
        raise
    except OSError as error:
        raise DataError(
            f"{cache}: the cache cannot be written to ({error.strerror}); name another folder with --cache-dir"
        ) from None


def _is_held(path: Path) -> bool:
    """Whether the process that made a lock still lives; what one that was killed left is removed."""
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    lock.release()
    path.unlink(missing_ok=True)
    return False

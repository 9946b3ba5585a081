"""Keeping from the terminal what Pillow and libtiff say beside their errors, while pictures are read."""

import ctypes
import functools
import logging
import threading
import warnings
from contextlib import suppress

from PIL import _imaging

logging.getLogger("PIL").addHandler(logging.NullHandler())  # what it logs it raises as well


class Silence:
    """A context in which Pillow's warnings are not shown; many threads may be in it at once.

    They are about damaged metadata, which have no part in a picture's pixels. `warnings.catch_warnings` alone is not for
    threads: the filters are the process's own, and threads that leave in another order than they came would restore the
    wrong ones for good. Here the first to come sets them, and the last to leave restores them.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._filters = warnings.catch_warnings()

    def __enter__(self) -> None:
        _silence_libtiff()
        with self._lock:
            if self._inside == 0:
                self._filters = warnings.catch_warnings()
                self._filters.__enter__()
                warnings.filterwarnings("ignore", module=r"PIL\.")
            self._inside += 1

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                self._filters.__exit__(None, None, None)


SILENCE = Silence()
"""The one of this process."""


@functools.cache
def _silence_libtiff() -> None:
    """libtiff prints each error, and Pillow raises it too but has no switch for that; where the function is hidden, it goes on."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(_imaging.__file__).TIFFSetErrorHandler(None)

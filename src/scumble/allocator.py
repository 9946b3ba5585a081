"""The allocator of the C library, where a CPU's tensors live: what it keeps, and when it gives back."""

import ctypes
import sys
from functools import cache

_TRIM_THRESHOLD, _MOST_MAPPINGS = -1, -4
"""glibc's numbers for two settings, M_TRIM_THRESHOLD and M_MMAP_MAX, from malloc.h."""


@cache
def keep_freed() -> None:
    """Have glibc keep freed blocks for the next who asks, in place of giving each large one back to the system at once.

    A step asks for the same blocks as the one before it, and a block that comes anew comes as pages of zeros, one page fault each:
    a quarter of a step of SD 1.5 on a CPU (docs/decisions/0021). `give_back` is then for where one use of memory ends.
    Elsewhere than on glibc it does nothing.
    """
    set_option = getattr(_c_library(), "mallopt", None)
    if set_option is not None:
        set_option(_TRIM_THRESHOLD, -1)  # never
        set_option(_MOST_MAPPINGS, 0)


def give_back() -> None:
    """Give the system what is freed: glibc keeps more or less of it. Other systems give back by themselves."""
    trim = getattr(_c_library(), "malloc_trim", None)
    if trim is not None:
        trim(0)


@cache
def _c_library() -> ctypes.CDLL | None:
    return ctypes.CDLL(None) if sys.platform == "linux" else None

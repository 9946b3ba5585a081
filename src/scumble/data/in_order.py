"""Work on many things by all cores, answered in order, with only a few of them under way at once."""

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

CHUNK = 16
"""Most things that a thread takes at once: handing over each one alone costs as much as looking it up."""

AHEAD = 4
"""Chunks under way for each thread."""

Thing = TypeVar("Thing")
Answer = TypeVar("Answer")


def in_order(work: Callable[[Thing], Answer], things: Sequence[Thing]) -> Iterator[Answer]:
    """What work answers for each thing, in their order.

    Args:
        work: called in threads; worth it where it leaves Python's lock, as decoding does.
        things: any number.
    """
    cores = os.cpu_count() or 1
    chunk = max(1, min(CHUNK, len(things) // (AHEAD * cores)))

    def worked(part: Sequence[Thing]) -> list[Answer]:
        return [work(thing) for thing in part]

    with ThreadPoolExecutor(cores) as threads:
        waiting: deque[Future[list[Answer]]] = deque()
        for start in range(0, len(things), chunk):
            waiting.append(threads.submit(worked, things[start : start + chunk]))
            if len(waiting) > AHEAD * cores:
                yield from waiting.popleft().result()
        while waiting:
            yield from waiting.popleft().result()

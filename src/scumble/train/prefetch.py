"""Batches made ahead of their step by other threads: the same ones, because a batch is a function of its position."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Protocol

import torch

from scumble.train.batches import Batch


class Batches(Protocol):
    """What gives the batch of each position."""

    def batch_at(self, first_position: int, batch_size: int) -> Batch:
        """The batch of consecutive positions; the same for ever."""
        ...


class Prefetched:
    """Batches of which the next few are in the making.

    Args:
        batches: makes them, in any thread.
        pool: the threads.
        ahead: how many batches.
        end: the position from which on there are none.
        stride: every how many batches one is asked for.
        pinned: in page-locked memory, from which a GPU copies while the computer goes on.
    """

    def __init__(
        self, batches: Batches, pool: ThreadPoolExecutor, ahead: int, end: int, stride: int = 1, *, pinned: bool = False
    ) -> None:
        self.pinned = pinned
        self.batches = batches
        self.pool = pool
        self.ahead = ahead
        self.end = end
        self.stride = stride
        self.coming: dict[int, Future[Batch]] = {}

    def batch_at(self, first_position: int, batch_size: int) -> Batch:
        """The batch of consecutive positions; whoever goes on a stride after it will wait less."""
        found = self.coming.pop(first_position, None)
        stride = self.stride * batch_size
        wanted = range(first_position + stride, min(first_position + (self.ahead + 1) * stride, self.end), stride)
        for position in [position for position in self.coming if position not in wanted]:
            self.coming.pop(position).cancel()  # the run went back, or left a step out
        for position in wanted:
            if position not in self.coming:
                self.coming[position] = self.pool.submit(self._made, position, batch_size)
        return self._made(first_position, batch_size) if found is None else found.result()

    def _made(self, first_position: int, batch_size: int) -> Batch:
        batch = self.batches.batch_at(first_position, batch_size)
        return batch.pinned() if self.pinned else batch


@contextmanager
def prefetched(
    batches: Batches, num_workers: int, end: int, stride: int = 1, *, pinned: bool = False
) -> Iterator[Batches]:
    """The same batches, made ahead by threads that end with the with-block.

    Args:
        batches: makes them.
        num_workers: threads, and batches ahead; 0 = each is made when it is asked for.
        end: the position from which on there are none.
        stride: every how many batches one is asked for.
        pinned: see `Prefetched`.
    """
    if num_workers == 0:
        yield batches
        return
    # a thread of torch's own would take all cores, and sum in another order
    pool = ThreadPoolExecutor(num_workers, "batches", torch.set_num_threads, (torch.get_num_threads(),))
    try:
        yield Prefetched(batches, pool, num_workers, end, stride, pinned=pinned)
    finally:
        pool.shutdown(cancel_futures=True)

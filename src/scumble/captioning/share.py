"""Several processes, as torchrun or accelerate start them: each takes its share, and the first one hears of all."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta

from scumble.errors import ScumbleError
from scumble.processes import Item, Share

PATIENCE = timedelta(days=30)
"""How long a process that is done waits for the others."""


@contextmanager
def meeting(share: Share) -> Iterator[None]:
    """While this lasts, `gathered` can be used; nothing where there is one process."""
    if share.count == 1:
        yield
        return
    from torch import distributed

    distributed.init_process_group("gloo", rank=share.index, world_size=share.count, timeout=PATIENCE)
    try:
        yield
        with suppress(RuntimeError):  # the one that failed says why
            distributed.barrier()  # a process that leaves while another still talks to it may take it down
    finally:
        distributed.destroy_process_group()


def gathered(share: Share, items: Sequence[Item]) -> list[Item] | None:
    """The items of all processes, in the first one; None in the others. Waits for all.

    Raises:
        ScumbleError: another process ended before it was done.
    """
    if share.count == 1:
        return list(items)
    from torch import distributed

    parts: list[Sequence[Item]] | None = [()] * share.count if share.index == 0 else None
    try:
        distributed.gather_object(items, parts)
    except RuntimeError as error:
        raise ScumbleError("another process ended too early; what was written is whole: run it again") from error
    return None if parts is None else [item for part in parts for item in part]

"""Several processes, as torchrun or accelerate start them: each takes its share, and the first one hears of all."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import torch

from scumble.errors import ConfigError, ScumbleError
from scumble.generate.device import choose_device

PATIENCE = timedelta(days=30)
"""How long a process that is done waits for the others."""

Item = TypeVar("Item")


@dataclass(frozen=True)
class Share:
    """Which process of how many this is, counted from 0; `local_index` counts on this machine."""

    index: int = 0
    count: int = 1
    local_index: int = 0

    @property
    def words(self) -> str:
        """The end of a sentence about what it has; empty where it has everything."""
        return "" if self.count == 1 else f" for process {self.index + 1} of {self.count}"

    def of(self, items: Sequence[Item]) -> Sequence[Item]:
        """Every `count`-th item, from `index` on."""
        return items[self.index :: self.count]


def share_of(environment: Mapping[str, str] = os.environ) -> Share:
    """The share that torchrun's variables give to this process.

    Raises:
        ConfigError: variables that cannot be, or without an address at which the processes meet.
    """
    count = environment.get("WORLD_SIZE", "1")
    index = environment.get("RANK", "0")
    if not (count.isdecimal() and index.isdecimal() and int(index) < int(count)):
        raise ConfigError(f"found RANK={index} and WORLD_SIZE={count}: start several processes with torchrun")
    if int(count) > 1 and "MASTER_ADDR" not in environment:
        raise ConfigError(f"found WORLD_SIZE={count} without MASTER_ADDR: start several processes with torchrun")
    return Share(int(index), int(count), int(environment.get("LOCAL_RANK", index)))


def device_of(share: Share, name: str | None) -> torch.device:
    """The device of a process: of several GPUs each takes its own.

    Raises:
        ConfigError: no such device here.
    """
    device = choose_device(name)
    if device.type == "cuda" and name in (None, "cuda") and share.count > 1:
        return torch.device("cuda", share.local_index % torch.cuda.device_count())
    return device


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

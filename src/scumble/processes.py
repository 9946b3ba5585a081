"""Several processes, as torchrun or accelerate start them: which of how many this is."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from scumble.errors import ConfigError

Item = TypeVar("Item")


@dataclass(frozen=True)
class Share:
    """Which process of how many this is, counted from 0; `local_index` counts on this machine."""

    index: int = 0
    count: int = 1
    local_index: int = 0

    @property
    def is_main(self) -> bool:
        """Whether this is the one that writes and speaks."""
        return self.index == 0

    @property
    def words(self) -> str:
        """The end of a sentence about what it has; empty where it has everything."""
        return "" if self.count == 1 else f" for process {self.index + 1} of {self.count}"

    def of(self, items: Sequence[Item]) -> Sequence[Item]:
        """Every `count`-th item, from `index` on."""
        return items[self.index :: self.count]


ALONE = Share()


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

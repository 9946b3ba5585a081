"""Encoded pictures and captions in memory: as many as have room, the others are read again whenever one is asked for."""

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar, overload

ROOM = 2**30
"""Bytes for latents, and as many for text states: 8,000 pictures of 512 px, 4,500 captions of Stable Diffusion 1.5."""

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Held(Mapping[K, V]):
    """Items in the order in which they were put, of which the first that have room stay in memory.

    Args:
        again: reads an item that had no room; any thread may call it.
        size: bytes of an item.
        room: bytes for all of them together.
    """

    def __init__(self, again: Callable[[K], V], size: Callable[[V], int], room: int) -> None:
        self._again = again
        self._size = size
        self._room = room
        self._keys: dict[K, None] = {}
        self._items: dict[K, V] = {}

    @property
    def num_held(self) -> int:
        """How many stay in memory."""
        return len(self._items)

    def put(self, key: K, item: V) -> None:
        """Take an item in; from the first that has no room on, none is held."""
        self._keys[key] = None
        self._room -= self._size(item)
        if self._room >= 0:
            self._items[key] = item

    def __getitem__(self, key: K) -> V:
        if key in self._items:
            return self._items[key]
        if key in self._keys:
            return self._again(key)
        raise KeyError(key)

    def __iter__(self) -> Iterator[K]:
        return iter(self._keys)

    def __len__(self) -> int:
        return len(self._keys)


@dataclass(frozen=True)
class Chosen(Sequence[V]):
    """Some items of a mapping, in an order of their own, each looked up when it is asked for.

    Attributes:
        items: all there are.
        keys: of the chosen ones; a key may be there several times.
    """

    items: Mapping[int, V]
    keys: Sequence[int]

    def __len__(self) -> int:
        return len(self.keys)

    @overload
    def __getitem__(self, index: int) -> V: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[V]: ...
    def __getitem__(self, index: int | slice) -> V | Sequence[V]:
        return Chosen(self.items, self.keys[index]) if isinstance(index, slice) else self.items[self.keys[index]]

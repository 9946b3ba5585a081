"""Frozen numbers that lie in the computer's memory and come to the device for as long as they are used.

They are not a layer's parameters whose data is swapped: autograd would keep those on the device until the backward pass,
or find them gone (see docs/decisions/0013-frozen-weights-elsewhere.md). Who needs them asks for them again.
"""

from collections import deque
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

Phase = Literal["forward", "recomputed", "backward"]
Place = tuple[int, Phase]
"""Whose numbers are asked for, and when: what comes after a layer is another one forward than backward."""

AHEAD = 3
"""How many layers' numbers are on their way while one's are used."""


@dataclass(frozen=True)
class _Arrival:
    """Numbers on the device, and the end of their copying where that is not awaited yet."""

    index: int
    numbers: tuple[Tensor, ...]
    copied: torch.cuda.Event | None


class Ferry:
    """Keeps numbers in the computer's memory, and copies them to the device when they are asked for.

    Which numbers follow which is learnt from the calls themselves: from the second pass on, copies are made ahead on a
    stream of their own. At most a few layers' numbers are on the device. On a CPU, a copy is a clone.

    Args:
        device: where numbers are used.
        ahead: how many layers' numbers are on their way while one's are used.
    """

    def __init__(self, device: torch.device, ahead: int = AHEAD) -> None:
        self.device = device
        self.ahead = ahead
        self._kept: list[tuple[Tensor, ...]] = []
        self._next: dict[Place, Place] = {}
        self._last: Place | None = None
        self._present: _Arrival | None = None
        self._coming: dict[int, _Arrival] = {}
        self._uses: deque[torch.cuda.Event] = deque()  # the end of each use that the device may not have reached yet
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None  # type: ignore[no-untyped-call]

    def keep(self, numbers: Sequence[Tensor]) -> int:
        """Take numbers into the computer's memory, page-locked where the device can read that.

        Returns:
            What to ask for them by.
        """
        here = [each.detach().cpu() for each in numbers]
        self._kept.append(tuple(here if self._stream is None else [each.pin_memory() for each in here]))
        return len(self._kept) - 1

    @property
    def kept_bytes(self) -> int:
        """What lies in the computer's memory."""
        return sum(each.numel() * each.element_size() for numbers in self._kept for each in numbers)

    @property
    def bytes_on_device(self) -> int:
        """What is on the device now, or on its way."""
        arrivals = [*self._coming.values(), *([] if self._present is None else [self._present])]
        return sum(each.numel() * each.element_size() for arrival in arrivals for each in arrival.numbers)

    def bring(self, index: int, is_backward: bool = False) -> tuple[Tensor, ...]:
        """Numbers on the device; not to be changed.

        Args:
            index: what `keep` gave for them.
            is_backward: asked by a backward pass, for a gradient.
        """
        if self._present is None or self._present.index != index:
            place = (index, _phase(is_backward))
            if self._last is not None:
                self._next[self._last] = place
            self._last = place
            self._give_back()
            arrival = self._coming.pop(index, None) or self._send(index)
            self._present = self._awaited(arrival)
            self._send_ahead(place)
        return self._present.numbers

    def _give_back(self) -> None:
        """Let go of the present numbers: whatever uses them is in the device's queue already."""
        if self._present is not None and self._stream is not None:
            use = torch.cuda.Event()  # type: ignore[no-untyped-call]
            use.record(torch.cuda.current_stream(self.device))
            self._uses.append(use)
        self._present = None

    def _send_ahead(self, place: Place) -> None:
        """Have the next layers' numbers on their way, and no others."""
        wanted: list[int] = []
        following = self._next.get(place)
        while following is not None and len(wanted) < self.ahead:
            wanted.append(following[0])
            following = self._next.get(following)
        self._coming = {index: arrival for index, arrival in self._coming.items() if index in wanted}
        for index in wanted:
            if index not in self._coming and index != place[0]:
                self._coming[index] = self._send(index)

    def _send(self, index: int) -> _Arrival:
        while len(self._uses) > self.ahead:  # else the computer, which runs ahead of the device, fills it with copies
            self._uses.popleft().synchronize()
        with nullcontext() if self._stream is None else torch.cuda.stream(self._stream):
            numbers = tuple(each.to(self.device, non_blocking=True, copy=True) for each in self._kept[index])
            copied = None if self._stream is None else self._stream.record_event()
        return _Arrival(index, numbers, copied)

    def _awaited(self, arrival: _Arrival) -> _Arrival:
        """Let what is computed from now on wait for the copy, and the copy's memory wait for what is computed."""
        if arrival.copied is not None:
            stream = torch.cuda.current_stream(self.device)
            stream.wait_event(arrival.copied)
            for each in arrival.numbers:
                each.record_stream(stream)
        return _Arrival(arrival.index, arrival.numbers, None)


def _phase(is_backward: bool) -> Phase:
    if is_backward:
        return "backward"
    is_within_backward = torch._C._current_graph_task_id() != -1  # gradient checkpointing itself asks in this way
    return "recomputed" if is_within_backward else "forward"

"""What a piece of work on a CPU starts and holds: kernels by torch's dispatcher, bytes by its allocator."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch.utils._python_dispatch import TorchDispatchMode


class _Counter(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.count += not function.is_view
        return function(*args, **(kwargs or {}))


def kernels(work: Callable[[], Any]) -> int:
    """How many operations on tensors the work dispatches, those that only look at a tensor otherwise left out."""
    with _Counter() as counter:
        work()
    return counter.count


@dataclass(frozen=True)
class Held:
    """Memory of tensors beside what was there before.

    Attributes:
        kept: bytes that lived when the work had ended, while what it answered was held.
        peak: bytes that lived at its fullest moment.
    """

    kept: int
    peak: int


def held(work: Callable[[], Any]) -> Held:
    """Bytes that the work took from the allocator of the CPU; scratch that libraries take elsewhere is not among them."""
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        answer = work()
    events = [event for event in profiled.profiler.kineto_results.events() if event.name() == "[memory]"]
    now = peak = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        now += event.nbytes()
        peak = max(peak, now)
    del answer
    return Held(now, peak)

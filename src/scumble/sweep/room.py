"""How many cells fit at once: by the cores, and by the memory that is free and that one cell was measured to take."""

import os
from dataclasses import dataclass

import psutil
import torch

from scumble.quantities import amount

SHARE_OF_FREE = 0.9
"""Of the free memory: other programs move too."""
BESIDE_TENSORS = 700_000_000
"""Bytes of a GPU that a process takes beside its tensors: CUDA's context, libraries, and what its allocator holds in between."""


@dataclass(frozen=True)
class Room:
    """How many cells at once, and how each computes.

    Attributes:
        workers: cells at once.
        threads: of each.
        gpus: to share; 0 = the device is another.
        why: in words.
    """

    workers: int
    threads: int
    gpus: int
    why: str


def cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def free_bytes(device: torch.device) -> int:
    """Memory that is free now where the cells will be; of several GPUs that of the fullest."""
    if device.type != "cuda":
        return int(psutil.virtual_memory().available)
    gpus = gpus_for(device)
    places = [device] if gpus == 1 else [torch.device("cuda", index) for index in range(gpus)]
    return min(torch.cuda.mem_get_info(place)[0] for place in places)


def gpus_for(device: torch.device) -> int:
    """How many GPUs cells share: all, unless one was named."""
    if device.type != "cuda":
        return 0
    return torch.cuda.device_count() if device.index is None else 1


def room_for(num_cells: int, peak_bytes: int, free: int, num_cores: int, gpus: int) -> Room:
    """As many cells as there are cores and memory for, at least one.

    Args:
        num_cells: there is no use in more.
        peak_bytes: of one cell, measured, > 0; on a GPU of its tensors.
        free: bytes, of each GPU where there are several.
        num_cores: of the machine.
        gpus: to share; 0 = the device is another.
    """
    on_each = int(SHARE_OF_FREE * free) // (peak_bytes + (BESIDE_TENSORS if gpus else 0))
    by_memory = on_each * max(1, gpus)  # a cell cannot lie in what two GPUs have left
    workers = max(1, min(num_cells, num_cores, by_memory))
    sizes = (
        f"one takes {amount(peak_bytes)} at most, measured; {amount(free)} are free{' on each GPU' if gpus > 1 else ''}"
    )
    limits = {num_cells: "there are no more", num_cores: f"of {num_cores} cores", by_memory: sizes}
    return Room(workers, _threads(num_cores, workers), gpus, limits.get(workers, sizes))


def room_as_told(workers: int, num_cells: int, num_cores: int, gpus: int) -> Room:
    """As many cells as the person says.

    Args:
        workers: what the person says.
        num_cells: there is no use in more.
        num_cores: of the machine.
        gpus: to share; 0 = the device is another.
    """
    used = min(workers, num_cells)
    return Room(used, _threads(num_cores, used), gpus, "as asked")


def _threads(num_cores: int, workers: int) -> int:
    """The cores shared out, but no more threads than this process was told to use (OMP_NUM_THREADS)."""
    told = os.environ.get("OMP_NUM_THREADS", "")
    share = max(1, num_cores // workers)
    return min(share, int(told)) if told.isdigit() and int(told) else share

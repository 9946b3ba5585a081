"""Seconds of steps as the device keeps them, what they compute, and how often the computer waits for it."""

import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch

PEAKS = {
    "H200 NVL": 836e12,
    "H200": 989e12,
    "H100 NVL": 836e12,
    "H100 PCIe": 756e12,
    "H100": 989e12,
    "A100": 312e12,
    "L40S": 362e12,
    "L40": 181e12,
    "4090": 165e12,
    "3090": 71e12,
}
"""Part of a GPU's name -> floating-point operations a second in bfloat16 with dense matrices, as its maker says; of names that
contain another the longer one first."""


@dataclass(frozen=True)
class Timed:
    """Steps of one side.

    Attributes:
        seconds: of each step that counts.
        first_seconds: of the first step, which compiles what is compiled.
        peak_gb: most memory that torch held on the device, 1e9 bytes; 0 on a CPU.
        operations: floating-point operations of one step, forward and backward.
        waits: how often the computer waited for the device within a step; -1 on a CPU.
    """

    seconds: list[float]
    first_seconds: float
    peak_gb: float
    operations: float
    waits: int


def timed(step: Callable[[], object], device: torch.device, warm_up: int, steps: int) -> Timed:
    """Run steps.

    Args:
        step: one of them.
        device: that it runs on.
        warm_up: steps that do not count, after the first.
        steps: that do.
    """
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    first = _seconds(step, device)
    for _ in range(warm_up):
        step()
    seconds = [_seconds(step, device) for _ in range(steps)]
    peak = torch.cuda.max_memory_allocated(device) / 1e9 if device.type == "cuda" else 0.0
    return Timed(seconds, first, peak, _operations(step), _waits(step, device))


def peak_rate(device: torch.device) -> float | None:
    """Operations a second that a device is sold with; None where this script does not know."""
    if device.type != "cuda":
        return None
    name = torch.cuda.get_device_name(device)
    return next((rate for part, rate in PEAKS.items() if part in name), None)


def _seconds(step: Callable[[], object], device: torch.device) -> float:
    if device.type != "cuda":
        began = time.perf_counter()
        step()
        return time.perf_counter() - began
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize(device)
    start.record()
    step()
    end.record()
    end.synchronize()
    return start.elapsed_time(end) / 1e3


def _operations(step: Callable[[], object]) -> float:
    from torch.utils.flop_counter import FlopCounterMode

    with _eager(), FlopCounterMode(display=False) as counter:
        step()
    return float(counter.get_total_flops())


@contextmanager
def _eager() -> Iterator[None]:
    """Compiled code hides its operations from the counter."""
    before = torch.compiler.set_stance("force_eager")
    try:
        yield before
    finally:
        torch.compiler.set_stance("default")


def _waits(step: Callable[[], object], device: torch.device) -> int:
    if device.type != "cuda":
        return -1
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            step()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return sum("synchroniz" in str(warning.message) for warning in said)

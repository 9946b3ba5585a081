"""On what a run trains: the machine and the versions of what computes; and how much memory it took."""

import importlib.metadata
import os
import platform
import sys
from pathlib import Path
from typing import Any

import psutil
import torch

from scumble.quantities import counted

PACKAGES = ("scumble", "torch", "diffusers", "transformers", "safetensors")
"""Whose versions may decide a number."""


def surroundings(device: torch.device) -> dict[str, Any]:
    """The machine and the versions, as JSON values.

    Args:
        device: where the denoiser runs.
    """
    versions = {name: importlib.metadata.version(name) for name in PACKAGES}
    return {
        "versions": {"Python": platform.python_version(), **versions},
        "system": f"{platform.system()} {platform.machine()}",
        "hardware": _hardware(device),
    }


def _hardware(device: torch.device) -> str:
    if device.type == "cuda":
        memory = torch.cuda.get_device_properties(device).total_memory
        return f"{torch.cuda.get_device_name(device)}, {memory / 2**30:.0f} GiB"
    memory = psutil.virtual_memory().total
    return f"{counted(os.cpu_count() or 1, 'CPU core')}, {counted(torch.get_num_threads(), 'thread')}, {memory / 2**30:.0f} GiB"


def peak_memory(device: torch.device) -> int:
    """The most bytes in use so far: on a GPU by tensors, on a CPU by the whole process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    if device.type == "mps":
        return torch.mps.driver_allocated_memory()
    status = Path("/proc/self/status")
    if status.exists():  # Linux: what getrusage says includes the process that started this one
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    if sys.platform == "win32":
        return int(psutil.Process().memory_info().peak_wset)
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # macOS counts bytes

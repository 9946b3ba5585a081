"""The words for the machine that measured."""

import os
import platform
from pathlib import Path

import psutil


def hardware(threads: int | None = None) -> str:
    """Processor, cores, memory; how many threads were used, where that was chosen."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory = psutil.virtual_memory().total / 2**30
    words = f"{_processor()}{_instructions()}, {cores} cores, {memory:.0f} GiB"
    return words if threads is None else f"{words}; {threads} thread(s)"


def load_now() -> float:
    """Programs that ran or waited in the last minute, this one among them."""
    return round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else -1.0


def _cpu_lines() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


def _processor() -> str:
    for line in _cpu_lines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _instructions() -> str:
    flags = next((line for line in _cpu_lines() if line.startswith("flags")), "").split()
    known = [
        words for flag, words in (("avx512f", "AVX-512"), ("avx512_bf16", "bf16"), ("amx_bf16", "AMX")) if flag in flags
    ]
    return f" ({', '.join(known) or 'no AVX-512'})" if flags else ""

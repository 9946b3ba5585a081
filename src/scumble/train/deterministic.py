"""Kernels that give the same bits each time, where a device has others that do not."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from scumble.errors import ConfigError

WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"
WORKSPACES = (":4096:8", ":16:8")
"""The values with which NVIDIA promises the same bits each time; the first is faster."""


def ask_for_workspace(wanted: bool) -> None:
    """Say to cuBLAS that the same bits are wanted; it reads the environment once, when a process first uses it.

    Args:
        wanted: otherwise nothing is changed.
    Raises:
        ConfigError: the environment asks cuBLAS for something else.
    """
    asked = os.environ.setdefault(WORKSPACE, WORKSPACES[0]) if wanted else WORKSPACES[0]
    if asked not in WORKSPACES:
        raise ConfigError(
            f"deterministic needs {WORKSPACE} = {' or '.join(WORKSPACES)}; it is set to {asked}: unset it"
        )


@contextmanager
def deterministic_algorithms(wanted: bool) -> Iterator[None]:
    """Let torch use deterministic kernels alone, until the with-block ends.

    Args:
        wanted: otherwise nothing is changed.
    Raises:
        ConfigError: an operation has no such kernel, or the environment asks cuBLAS for something else.
    """
    if not wanted:
        yield
        return
    ask_for_workspace(wanted)
    before = torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark
    torch.use_deterministic_algorithms(True)  # cuDNN's too
    torch.backends.cudnn.benchmark = False
    try:
        yield
    except RuntimeError as error:
        if "deterministic" not in str(error):
            raise
        if WORKSPACE in str(error):
            raise ConfigError(
                f"deterministic: this process used the GPU before without {WORKSPACE}; set {WORKSPACE}={WORKSPACES[0]} "
                "before Python starts"
            ) from error
        first = str(error).partition(". ")[0]
        raise ConfigError(f"deterministic cannot be had here: {first}. Leave deterministic out") from error
    finally:
        torch.use_deterministic_algorithms(before[0])
        torch.backends.cudnn.benchmark = before[1]

"""What makes the denoiser's passes faster on a GPU and changes nothing else: the layout of its weights, compiled blocks."""

import importlib.util

import torch
from torch import nn

from scumble.adapters.pack import Storage
from scumble.config import TrainingConfig
from scumble.errors import ConfigError

MOST_GRAPHS = 64
"""Graphs of one block's code: each width and size of the blocks has its own, with and without gradient."""


def refuse_compiling(train: TrainingConfig, device: torch.device) -> None:
    """Raise where compiling cannot help, or cannot be done.

    Args:
        train: the settings.
        device: where the denoiser runs.
    Raises:
        ConfigError: it is asked for on a CPU, or without Triton, which makes a GPU's code.
    """
    if train.torch_compile and device.type == "cpu":
        raise ConfigError("torch_compile on a CPU takes longer than it saves: leave it out")
    if train.torch_compile and device.type == "cuda" and importlib.util.find_spec("triton") is None:
        raise ConfigError("torch_compile needs Triton, which is not installed: pip install triton, or leave it out")


def lay_out(denoiser: nn.Module, device: torch.device, storage: Storage) -> None:
    """Weights of convolutions with their channels last, as a GPU's matrix units read them; elsewhere they stay.

    Args:
        denoiser: before adapters are on it.
        device: where it runs.
        storage: how its weights are kept.
    """
    if device.type == "cuda" and storage.is_plain:
        denoiser.to(memory_format=torch.channels_last)


def compile_blocks(denoiser: nn.Module, backend: str = "inductor") -> int:
    """Compile the blocks that a denoiser repeats, so that their code is compiled once, not the whole model's.

    Args:
        denoiser: with its adapters on it.
        backend: of torch.compile.
    Returns:
        How many there are.
    Raises:
        ConfigError: this denoiser does not say which blocks it repeats.
    """
    repeated = set(getattr(denoiser, "_repeated_blocks", ()))
    blocks = [module for module in denoiser.modules() if type(module).__name__ in repeated]
    if not blocks:
        raise ConfigError(
            "torch_compile: this denoiser does not say which of its blocks repeat; leave torch_compile out"
        )
    torch._dynamo.config.recompile_limit = max(MOST_GRAPHS, torch._dynamo.config.recompile_limit)
    for block in blocks:
        block.compile(backend=backend)
    return len(blocks)

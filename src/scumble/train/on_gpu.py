"""What makes the denoiser's passes faster on a GPU and changes nothing else: the layout of its weights, compiled blocks."""

import importlib.util

import torch
from torch import nn

from scumble.adapters.pack import Storage
from scumble.config import TrainingConfig
from scumble.errors import ConfigError

PAYS_FROM = 2_000
"""Pictures of 512 x 512 pixels that a run sees from which on compiling is taken to pay: about a minute of compiling, against
some hundredths of a second saved by each. bench/gpu.py measures both."""

MOST_GRAPHS = 64
"""Graphs of one block's code: each width and size of the blocks has its own, with and without gradient."""


def chosen_compiling(train: TrainingConfig, device: torch.device, num_steps: int, resolution: int) -> bool | None:
    """Whether a run compiles; None = not by itself. It follows from the settings alone, so a resumed run does the same.

    Args:
        train: the settings of length, size and precision.
        device: where the denoiser runs.
        num_steps: of the whole run.
        resolution: side of the training square in pixels.
    Raises:
        ConfigError: asked for where it cannot help.
    """
    if train.torch_compile and device.type == "cpu":
        raise ConfigError("torch_compile on a CPU takes longer than it saves: leave it out")
    if train.torch_compile is not None or device.type != "cuda" or importlib.util.find_spec("triton") is None:
        return train.torch_compile
    is_plain = train.base_packing is None and not train.group_offload
    seen = num_steps * train.samples_a_step * (resolution / 512) ** 2
    return True if is_plain and seen >= PAYS_FROM else None


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

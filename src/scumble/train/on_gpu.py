"""How the denoiser's weights lie on a GPU, which makes its passes faster and changes nothing else."""

import torch
from torch import nn

from scumble.adapters.pack import Storage


def lay_out(denoiser: nn.Module, device: torch.device, storage: Storage) -> None:
    """Weights of convolutions with their channels last, as a GPU's matrix units read them; elsewhere they stay.

    Args:
        denoiser: before adapters are on it.
        device: where it runs.
        storage: how its weights are kept.
    """
    if device.type == "cuda" and storage.is_plain:
        denoiser.to(memory_format=torch.channels_last)

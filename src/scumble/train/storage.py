"""Where the numbers of a run lie that are not trained: refused where that would change nothing, and in words."""

from collections.abc import Sequence

import torch
from torch import nn

from scumble.adapters.pack import Storage, stored_bytes
from scumble.config import TrainConfig
from scumble.data.buckets import Size
from scumble.device import has_memory_of_its_own
from scumble.errors import ConfigError
from scumble.families.base import BaseModel
from scumble.quantities import amount


def refuse_idle_storage(config: TrainConfig, base: BaseModel, sizes: Sequence[Size], device: torch.device) -> None:
    """Raise for a setting that would save nothing in this run.

    Args:
        config: the settings, with the resolution chosen.
        base: the base, of which the autoencoder may be tiled.
        sizes: of the pictures that are encoded, in pixels.
        device: where the denoiser runs.
    Raises:
        ConfigError: names it, and why.
    """
    train, resolution = config.training, config.data.resolution
    if train.group_offload and not has_memory_of_its_own(device):
        raise ConfigError(
            f"group_offload would have no effect: the weights on device={device} are in the computer's memory already; "
            "leave it out"
        )
    drawn = [resolution or 0] if config.validation.validation_prompt is not None else []
    largest = max([*drawn, *(side for size in sizes for side in size)])
    if train.vae_tiling and largest <= base.tile_px:
        raise ConfigError(
            f"vae_tiling would have no effect: no picture is larger than {largest} px, and a tile has {base.tile_px}; "
            "leave it out"
        )


def storage_in_words(model: nn.Module, dtype: torch.dtype, storage: Storage, device: torch.device) -> str:
    """What the frozen numbers of a model take, and would take if they were left as they are.

    Args:
        model: as it is loaded; its numbers may be missing (meta device).
        dtype: of its numbers.
        storage: how they are kept.
        device: where the model runs.
    """
    stored = stored_bytes(model, dtype, storage)
    start = f"the frozen weights take {amount(stored.on_device)} on {device} instead of {amount(stored.plain)}"
    how = f"{stored.layers} layers {'in ' + storage.packing if storage.packing else 'as they are'}"
    if not storage.is_offloaded:
        return f"{start}: {how}"
    return f"{start}: {how} in the computer's memory ({amount(stored.elsewhere)}), copied as they are used"

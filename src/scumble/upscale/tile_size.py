"""How large tiles may be, by what a model takes for a pixel and how much memory is free."""

import psutil
import torch
from torch import Tensor, nn

from scumble.device import has_memory_of_its_own, release_memory
from scumble.upscale.model import Upscaler
from scumble.upscale.tiles import SMALLEST_TILES, Tiling

TRIED_PX = 64
LARGEST_AT_ONCE = 10
"""As many outputs of the size of the largest lie in memory at a time; bench/upscale.py measures it."""
SHARE_OF_FREE = 0.5
STEP_PX = 64
"""Sides are multiples of it, and so of the windows of all architectures: nothing has to be padded."""
MOST_PX = 1024
MOST_PX_ON_CPU = 512
"""Larger tiles are no faster, and it would take long until anything is said."""


def choose_tiling(upscaler: Upscaler, overlap_px: int) -> Tiling:
    """The largest tiles for which the free memory is enough by far.

    Args:
        upscaler: of which a small tile is enlarged, to see what it takes.
        overlap_px: what neighbours share.
    """
    affordable = free_bytes(upscaler.device) * SHARE_OF_FREE / bytes_per_pixel(upscaler)
    most_px = MOST_PX if has_memory_of_its_own(upscaler.device) else MOST_PX_ON_CPU
    side_px = min(int(affordable**0.5), most_px) // STEP_PX * STEP_PX
    least_px = max(STEP_PX, SMALLEST_TILES * overlap_px)
    return Tiling(max(side_px, least_px), overlap_px)


def free_bytes(device: torch.device) -> int:
    """Memory that a device has left."""
    release_memory(device)  # what torch's allocator holds and nothing uses is free too
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return int(psutil.virtual_memory().available)


def bytes_per_pixel(upscaler: Upscaler) -> float:
    """About how much memory a model takes for each pixel that it enlarges, by the largest output of its layers."""
    largest = 0

    def look(_module: nn.Module, _inputs: object, output: object) -> None:
        nonlocal largest
        if isinstance(output, Tensor):
            largest = max(largest, output.numel() * output.itemsize)

    hooks = [module.register_forward_hook(look) for module in upscaler.descriptor.model.modules()]
    try:
        upscaler(torch.full((1, 3, TRIED_PX, TRIED_PX), 0.5))
    finally:
        for hook in hooks:
            hook.remove()
    return LARGEST_AT_ONCE * largest / TRIED_PX**2

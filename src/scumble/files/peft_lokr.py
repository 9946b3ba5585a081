"""LoKr as PEFT has it: one way of splitting the sizes for all layers, and rank decides which factors are split."""

import math
from collections.abc import Mapping
from dataclasses import replace

from torch import Tensor

from scumble.adapters.lokr import split
from scumble.errors import LoraFileError
from scumble.files.layouts import sizes_of
from scumble.files.lorafile import LoraLayer

KERNEL_AREAS = (1, 9)
"""Of the convolutions that a flat tensor may be of."""


def peft_lokr(layer: LoraLayer) -> LoraLayer:
    """The layer with a whole small factor, and the rank with which PEFT has its large factor as it is; same change."""
    tensors = {name: tensor.detach() for name, tensor in layer.tensors.items()}
    if "w1" not in tensors:
        tensors["w1"] = tensors.pop("w1_a").float() @ tensors.pop("w1_b").float()
    # PEFT splits the large factor where the rank is below half of its larger side
    whole = tensors.get("w2")
    rank = tensors["w2_b"].shape[0] if whole is None else max(1, math.ceil(max(whole.shape[:2]) / 2))
    return replace(layer, tensors=tensors, rank=rank, alpha=layer.scale * rank if rank != layer.rank else layer.alpha)


def lokr_settings(part: str, layers: Mapping[str, LoraLayer]) -> dict[str, object]:
    """PEFT's settings for how the layers' sizes are split.

    Args:
        part: the model part, for messages.
        layers: from `peft_lokr`.
    Raises:
        LoraFileError: no setting of PEFT splits all layers as they are.
    """
    shapes = {path: _factor_shapes(path, layer.tensors) for path, layer in layers.items()}
    for factor in (-1, *sorted({side for small, _ in shapes.values() for side in small})):
        if all(_is_split_so(small, larges, factor) for small, larges in shapes.values()):
            return {"decompose_both": False, "decompose_factor": factor}
    raise LoraFileError(
        f"{part}: found LoKr layers whose sizes are split in ways that PEFT has no single setting for: write kohya's "
        "naming"
    )


Shape = tuple[int, int]


def _factor_shapes(path: str, tensors: Mapping[str, Tensor]) -> tuple[Shape, list[Shape]]:
    """(a, c), and (b, d) or what it may be where the large factor is flat."""
    sizes = sizes_of(path, "lokr", {name: tensor for name, tensor in tensors.items() if name != "magnitude"})
    flat = sizes.get("d*k*l")
    may_be_d = [sizes["d"]] if flat is None else [flat // area for area in KERNEL_AREAS if flat % area == 0]
    return (sizes["a"], sizes["c"]), [(sizes["b"], d) for d in may_be_d]


def _is_split_so(small: Shape, larges: list[Shape], factor: int) -> bool:
    (a, c) = small
    return any(split(a * b, factor) == (a, b) and split(c * d, factor) == (c, d) for b, d in larges)

"""A base without numbers: its layers in their places, on the meta device."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import nn

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Outline:
    """What a base is made of.

    Attributes:
        modules: model part -> at least the layers that a LoRA may change.
        num_parameters: of the denoiser.
    """

    modules: Mapping[str, nn.Module]
    num_parameters: int


def tree(shapes: Mapping[str, Shape]) -> nn.Module:
    """Empty layers at their dotted paths."""
    root = nn.Module()
    for path, shape in shapes.items():
        *above, last = path.split(".")
        place = root
        for name in above:
            if name not in place._modules:
                place.add_module(name, nn.Module())
            place = place.get_submodule(name)
        place.add_module(last, _layer(shape))
    return root


def _layer(shape: Shape) -> nn.Module:
    """Of a convolution only the weight's shape is known, not how it steps."""
    out_size, in_size, *kernel = shape
    if kernel:
        return nn.Conv2d(in_size, out_size, (kernel[0], kernel[1]), bias=False, device="meta")
    return nn.Linear(in_size, out_size, bias=False, device="meta")

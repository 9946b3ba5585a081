"""How a frozen layer uses its weight: as a matrix, or as a convolution with stride, padding and dilation."""

from dataclasses import dataclass
from typing import Self

from torch import Tensor, nn
from torch.nn import functional

Pair = tuple[int, int]


@dataclass(frozen=True)
class Geometry:
    """The shape of a layer's weight, and where a convolution puts it.

    Attributes:
        shape: [out, in] of a linear layer, [out, in, k, k] of a convolution.
        stride, padding, dilation: of a convolution.
    """

    shape: tuple[int, ...]
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)

    @classmethod
    def of(cls, layer: nn.Module) -> Self:
        """The geometry of a layer that `can_be_adapted`, or of one that says it itself."""
        if isinstance(known := getattr(layer, "geometry", None), cls):
            return known
        shape = tuple(layer.weight.shape)  # type: ignore[arg-type]
        if isinstance(layer, nn.Conv2d):
            assert not isinstance(layer.padding, str)
            stride, padding, dilation = map(tuple, (layer.stride, layer.padding, layer.dilation))
            return cls(shape, stride, padding, dilation)  # type: ignore[arg-type]
        return cls(shape)

    @property
    def is_conv(self) -> bool:
        """Whether the layer is a convolution."""
        return len(self.shape) == 4

    @property
    def out_features(self) -> int:
        """Width of the output, or its channels."""
        return self.shape[0]

    @property
    def in_features(self) -> int:
        """Width of the input, or its channels."""
        return self.shape[1]

    @property
    def kernel(self) -> tuple[int, ...]:
        """(k, k) of a convolution, () of a linear layer."""
        return self.shape[2:]

    def run(self, x: Tensor, weight: Tensor) -> Tensor:
        """Apply a weight [any, in(, k, k)] to the layer's input, without a bias, as the layer would."""
        if not self.is_conv:
            return functional.linear(x, weight)
        return functional.conv2d(x, weight, None, self.stride, self.padding, self.dilation)


def can_be_adapted(layer: nn.Module) -> bool:
    """Whether a layer is one that adapters know: linear, or a convolution without groups and with zeros around it."""
    if isinstance(layer, nn.Conv2d):
        return layer.groups == 1 and layer.padding_mode == "zeros" and not isinstance(layer.padding, str)
    return isinstance(layer, nn.Linear)

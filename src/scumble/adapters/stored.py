"""Frozen layers whose weight is kept otherwise than it is used: packed, in the computer's memory, or both."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.grad import conv2d_input

from scumble.adapters.geometry import Geometry
from scumble.adapters.offload import Ferry
from scumble.adapters.packed import Packing, pack_numbers, unpack_numbers


class StoredLayer(nn.Module):
    """A frozen linear layer or convolution whose weight is made where it is used.

    Neither the weight nor the layer's input is kept for the backward pass: the weight is made again. Unpacked, the
    output and the gradient are those of the layer itself, to the bit.

    Args:
        layer: the layer to store; it is not changed.
        packing: how its numbers are packed; None = they stay as they are.
        ferry: keeps them in the computer's memory; None = they stay where they are.
    Raises:
        ConfigError: bitsandbytes is not installed.
    """

    def __init__(self, layer: nn.Linear | nn.Conv2d, packing: Packing | None, ferry: Ferry | None = None) -> None:
        super().__init__()
        self.geometry = Geometry.of(layer)
        self.packing = packing
        self.dtype = layer.weight.dtype
        self.bias = layer.bias
        self.replaced: Tensor | None = None  # a changed weight that stands in for the stored one
        weight = layer.weight.detach()
        if packing is not None:  # where the model runs, so that it is packed in the same way wherever it is kept
            numbers: tuple[Tensor, ...] = pack_numbers(weight if ferry is None else weight.to(ferry.device), packing)
        else:
            numbers = (weight,)
        self._ferry = ferry
        if ferry is not None:
            self._index = ferry.keep(numbers)
        else:
            for name, tensor in zip(("numbers", "scales", "code"), numbers, strict=False):
                self.register_buffer(name, tensor)

    @property
    def weight(self) -> Tensor:
        """The weight in its own shape and the layer's dtype, made anew at each call."""
        return self.made_weight()

    def made_weight(self, is_backward: bool = False) -> Tensor:
        """The weight, see `weight`; a backward pass says that it is one."""
        if self.replaced is not None:
            return self.replaced
        numbers = tuple(self.buffers()) if self._ferry is None else self._ferry.bring(self._index, is_backward)
        if self.packing is None:
            return numbers[0]
        bits, scales, code = numbers
        return unpack_numbers(bits, scales, code, self.geometry.shape, self.packing).to(self.dtype)

    def forward(self, x: Tensor) -> Tensor:
        """The layer's output [..., out] for x [..., in]."""
        output: Tensor = _Run.apply(x, self)
        return output


class _Run(torch.autograd.Function):
    """The layer; the gradient goes to the input only."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, layer: StoredLayer) -> Tensor:
        ctx.layer, ctx.shape = layer, x.shape
        geometry, weight = layer.geometry, layer.weight.to(x.dtype)
        bias = None if layer.bias is None else layer.bias.to(x.dtype)
        if not geometry.is_conv:
            return functional.linear(x, weight, bias)
        return functional.conv2d(x, weight, bias, geometry.stride, geometry.padding, geometry.dilation)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (gradient,) = gradients
        geometry = ctx.layer.geometry
        weight = ctx.layer.made_weight(is_backward=True).to(gradient.dtype)
        if not geometry.is_conv:
            return gradient @ weight, None
        of_x: Tensor = conv2d_input(  # type: ignore[no-untyped-call]
            ctx.shape, weight, gradient, geometry.stride, geometry.padding, geometry.dilation
        )
        return of_x, None

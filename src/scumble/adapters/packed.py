"""QLoRA's storage: frozen weights kept in 4 or 8 bits and unpacked where they are used (Dettmers et al. 2023,
arXiv:2305.14314), of linear layers and convolutions alike.

The numbers are packed and unpacked by bitsandbytes, in blocks of 64 (NF4) or 256 (8 bits) that share one float32 scale.
"""

from types import ModuleType
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.grad import conv2d_input

from scumble.adapters.geometry import Geometry
from scumble.errors import ConfigError

Packing = Literal["nf4", "int8"]
BLOCK = {"nf4": 64, "int8": 256}
"""How many neighbouring numbers share a scale."""


class PackedLayer(nn.Module):
    """A frozen linear layer or convolution whose weight is packed.

    Neither the weight unpacked nor the layer's input is kept for the backward pass: the weight is unpacked again.

    Args:
        layer: the layer to pack; it is not changed.
        packing: how.
    Raises:
        ConfigError: bitsandbytes is not installed.
    """

    def __init__(self, layer: nn.Linear | nn.Conv2d, packing: Packing) -> None:
        super().__init__()
        self.geometry = Geometry.of(layer)
        self.packing = packing
        self.dtype = layer.weight.dtype
        self.bias = layer.bias
        self.unpacked: Tensor | None = None  # a changed weight that stands in for the packed one
        bits, scales, code = _pack(layer.weight.detach(), packing)
        self.register_buffer("bits", bits)
        self.register_buffer("scales", scales)
        self.register_buffer("code", code)
        self.bits: Tensor
        self.scales: Tensor
        self.code: Tensor

    @property
    def weight(self) -> Tensor:
        """The weight in its own shape and the layer's dtype, unpacked anew at each call."""
        if self.unpacked is not None:
            return self.unpacked
        return _unpack(self.bits, self.scales, self.code, self.geometry.shape, self.packing).to(self.dtype)

    @property
    def packed_bytes(self) -> int:
        """What the weight takes."""
        return sum(buffer.numel() * buffer.element_size() for buffer in (self.bits, self.scales, self.code))

    def forward(self, x: Tensor) -> Tensor:
        """The layer's output [..., out] for x [..., in]."""
        output: Tensor = _Run.apply(x, self)
        if self.bias is None:
            return output
        bias = self.bias.to(output.dtype)
        return output + (bias.view(-1, 1, 1) if self.geometry.is_conv else bias)


class _Run(torch.autograd.Function):
    """The layer without its bias; the gradient goes to the input only."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, layer: PackedLayer) -> Tensor:
        ctx.layer, ctx.shape = layer, x.shape
        return layer.geometry.run(x, layer.weight.to(x.dtype))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (gradient,) = gradients
        geometry, weight = ctx.layer.geometry, ctx.layer.weight.to(gradient.dtype)
        if not geometry.is_conv:
            return gradient @ weight, None
        of_x: Tensor = conv2d_input(  # type: ignore[no-untyped-call]
            ctx.shape, weight, gradient, geometry.stride, geometry.padding, geometry.dilation
        )
        return of_x, None


def _bitsandbytes() -> ModuleType:
    try:
        from bitsandbytes import functional
    except ImportError as error:
        raise ConfigError(
            f"packed weights need bitsandbytes, which cannot be imported ({error}): pip install 'scumble[quantize]'"
        ) from None
    return functional


def _pack(weight: Tensor, packing: Packing) -> tuple[Tensor, Tensor, Tensor]:
    """Packed numbers (uint8), the blocks' scales (float32), and what each code means (float32)."""
    functional, flat = _bitsandbytes(), weight.float().reshape(-1).contiguous()
    if packing == "nf4":
        bits, state = functional.quantize_4bit(flat, blocksize=BLOCK[packing], quant_type="nf4")
    else:
        bits, state = functional.quantize_blockwise(flat, blocksize=BLOCK[packing])
    return bits, state.absmax, state.code


def _unpack(bits: Tensor, scales: Tensor, code: Tensor, shape: tuple[int, ...], packing: Packing) -> Tensor:
    """The weight, float32."""
    functional = _bitsandbytes()
    size = torch.Size([torch.Size(shape).numel()])
    state = functional.QuantState(
        absmax=scales, shape=size, code=code, blocksize=BLOCK[packing], quant_type=packing, dtype=torch.float32
    )
    if packing == "nf4":
        flat: Tensor = functional.dequantize_4bit(bits, state)
    else:
        flat = functional.dequantize_blockwise(bits, state)
    return flat.view(shape)

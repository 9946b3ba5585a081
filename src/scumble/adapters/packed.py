"""QLoRA's packing: numbers kept in 4 or 8 bits (Dettmers et al. 2023, arXiv:2305.14314).

They are packed and unpacked by bitsandbytes, in blocks of 64 (NF4) or 256 (8 bits) that share one float32 scale.
"""

from types import ModuleType
from typing import Literal

import torch
from torch import Tensor

from scumble.errors import ConfigError

Packing = Literal["nf4", "int8"]
BLOCK = {"nf4": 64, "int8": 256}
"""How many neighbouring numbers share a scale."""
BITS = {"nf4": 4, "int8": 8}
"""Of a number; a table of the 2^bits numbers that they mean is kept with them, in float32."""


def pack_numbers(weight: Tensor, packing: Packing) -> tuple[Tensor, Tensor, Tensor]:
    """Packed numbers (uint8), the blocks' scales (float32), and what each code means (float32).

    Raises:
        ConfigError: bitsandbytes is not installed.
    """
    functional, flat = _bitsandbytes(), weight.float().reshape(-1).contiguous()
    if packing == "nf4":
        bits, state = functional.quantize_4bit(flat, blocksize=BLOCK[packing], quant_type="nf4")
    else:
        bits, state = functional.quantize_blockwise(flat, blocksize=BLOCK[packing])
    return bits, state.absmax, state.code


def unpack_numbers(bits: Tensor, scales: Tensor, code: Tensor, shape: tuple[int, ...], packing: Packing) -> Tensor:
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


def packed_bytes(count: int, packing: Packing) -> int:
    """What so many numbers take, packed."""
    scales = -(-count // BLOCK[packing])
    table: int = 2 ** BITS[packing]
    return -(-count * BITS[packing] // 8) + 4 * (scales + table)


def _bitsandbytes() -> ModuleType:
    try:
        from bitsandbytes import functional
    except ImportError as error:
        raise ConfigError(
            f"packed weights need bitsandbytes, which cannot be imported ({error}): pip install 'scumble[quantize]'"
        ) from None
    return functional

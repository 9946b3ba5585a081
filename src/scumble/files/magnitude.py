"""DoRA's magnitudes: the norm of each output row, or of each input channel, of the changed weight."""

from collections.abc import Sequence

from torch import Tensor

from scumble.errors import LoraFileError
from scumble.files.layouts import Sizes, may_be_conv, may_be_in_size, out_size

CONV_DIMS = 4


def canonical_magnitude(name: str, tensor: Tensor, sizes: Sizes) -> Tensor:
    """LyCORIS's dora_scale -> [out, 1(, 1, 1)] or [1, in(, 1, 1)]: the place of the 1 tells which.

    Args:
        name: the layer, for messages.
        tensor: in one of these shapes, or [out].
        sizes: of the layer, from `layouts.sizes_of`.
    Raises:
        LoraFileError: another shape.
    """
    shape, out = tuple(tensor.shape), out_size(sizes)
    for is_conv in may_be_conv(sizes):
        ones = (1, 1) if is_conv else ()
        if shape == (out, 1, *ones) or (
            len(shape) == 2 + len(ones) and shape == (1, shape[1], *ones) and may_be_in_size(sizes, shape[1], is_conv)
        ):
            return tensor
    if shape == (out,) and len(may_be_conv(sizes)) == 1:
        # a converted PEFT file: only PEFT leaves the second dimension out
        return tensor.reshape(out, *[1] * (CONV_DIMS - 1 if may_be_conv(sizes)[0] else 1))
    raise _wrong(name, shape, f"[{out}, 1] or [1, in], with two more 1s for a convolution")


def from_peft(name: str, tensor: Tensor, sizes: Sizes) -> Tensor:
    """PEFT's lora_magnitude_vector, [out] or of a convolution [1, out, 1, 1] -> [out, 1(, 1, 1)].

    Raises:
        LoraFileError: another shape.
    """
    shape, out = tuple(tensor.shape), out_size(sizes)
    is_conv = may_be_conv(sizes)[0]
    if shape != ((1, out, 1, 1) if is_conv else (out,)):
        raise _wrong(name, shape, f"[1, {out}, 1, 1]" if is_conv else f"[{out}]")
    return tensor.reshape(out, 1, 1, 1) if is_conv else tensor.reshape(out, 1)


def to_peft(name: str, tensor: Tensor) -> Tensor:
    """[out, 1] -> [out]; [out, 1, 1, 1] -> [1, out, 1, 1].

    Raises:
        LoraFileError: norms of input channels, which PEFT does not know.
    """
    if tensor.shape[0] == 1 and tensor.shape[1] != 1:
        raise LoraFileError(
            f"{name}: found a DoRA whose norms are those of input channels, which PEFT and diffusers cannot say; "
            "write kohya's naming"
        )
    return tensor.transpose(0, 1) if tensor.ndim == CONV_DIMS else tensor.reshape(-1)


def _wrong(name: str, shape: Sequence[int], expected: str) -> LoraFileError:
    return LoraFileError(f"{name}: found a DoRA magnitude of shape {list(shape)}, expected {expected}")

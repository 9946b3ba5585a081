"""The frozen weight of a layer, however it is stored."""

from torch import Tensor, nn


def weight_of(layer: nn.Module) -> Tensor:
    """The frozen weight of a layer that can be adapted: [out, in] or [out, in, k, k].

    A layer that stores it packed gives it unpacked, made anew at each call.
    """
    weight = layer.weight
    assert isinstance(weight, Tensor)
    return weight


def bias_of(layer: nn.Module) -> Tensor | None:
    """The frozen bias of a layer, [out], or None."""
    bias = layer.bias
    assert bias is None or isinstance(bias, Tensor)
    return bias

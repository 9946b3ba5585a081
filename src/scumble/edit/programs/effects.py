"""What a program can make of a layer of a LoRA file: in words, and as the change of the weight.

W is the base's weight [out, in(, k, k)], D the change without DoRA's lengths, V = W + D, and m the lengths in the file.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from scumble.edit.change import MAGNITUDE, whole_change
from scumble.families.layers import LayerTable
from scumble.files.lorafile import LoraLayer

Change = Callable[[str, LoraLayer, LayerTable], Tensor]
"""(canonical key, layer, layers of the base) -> W' - W in the weight's shape, float32."""


@dataclass(frozen=True)
class Effect:
    """What becomes of a layer.

    Attributes:
        words: for a person.
        change: the change that is applied; None = the trained one.
    """

    words: str
    change: Change | None = None

    @property
    def is_applied(self) -> bool:
        """Whether the layer changes at all."""
        return self.change is not _nothing

    @property
    def is_as_trained(self) -> bool:
        """Whether the change is the trained one, to the rounding of the program."""
        return self.change is None or self.change is _in_half


def _nothing(key: str, layer: LoraLayer, table: LayerTable) -> Tensor:
    return torch.zeros(table.shapes[key])


def _plain(key: str, layer: LoraLayer, table: LayerTable) -> Tensor:
    tensors = {name: tensor for name, tensor in layer.tensors.items() if name != MAGNITUDE}
    return whole_change(key, replace(layer, tensors=tensors), table)


def _norm_of_inputs(weight: Tensor) -> Tensor:
    dims = [dim for dim in range(weight.ndim) if dim != 1]
    return weight.square().sum(dim=dims, keepdim=True).sqrt()


def _norm_of_rows(weight: Tensor) -> Tensor:
    return weight.square().sum(dim=list(range(1, weight.ndim)), keepdim=True).sqrt()


def _stretched(layer: LoraLayer, key: str, table: LayerTable, by: Callable[[Tensor, Tensor, Tensor], Tensor]) -> Tensor:
    """V by (W, V, m) - W, in float64: a small difference of large numbers."""
    weight = table.weight(key).double()
    changed = weight + _plain(key, layer, table).double()
    lengths = layer.tensors[MAGNITUDE].double()
    lengths = lengths.view(*lengths.shape[:2], *[1] * (weight.ndim - 2))
    return (changed * by(weight, changed, lengths) - weight).float()


def _rows_as_inputs(key: str, layer: LoraLayer, table: LayerTable) -> Tensor:
    return _stretched(layer, key, table, lambda weight, changed, lengths: lengths / _norm_of_inputs(changed))


def _by_rows_of_the_base(key: str, layer: LoraLayer, table: LayerTable) -> Tensor:
    return _stretched(layer, key, table, lambda weight, changed, lengths: lengths / _norm_of_rows(weight))


def _lengths_of_the_base(key: str, layer: LoraLayer, table: LayerTable) -> Tensor:
    return _stretched(
        layer, key, table, lambda weight, changed, lengths: _norm_of_rows(weight) / _norm_of_rows(changed)
    )


def _plain_unscaled(key: str, layer: LoraLayer, table: LayerTable) -> Tensor:
    return _plain(key, replace(layer, alpha=float(layer.rank)), table)


def _without_core(key: str, layer: LoraLayer, table: LayerTable) -> Tensor:
    """up down [out, in, 1, 1], added to every place of the kernel."""
    up, down = (layer.tensors[name].float().flatten(1) for name in ("up", "down"))
    return (layer.scale * up @ down)[:, :, None, None].expand(table.shapes[key])


def _in_half(key: str, layer: LoraLayer, table: LayerTable) -> Tensor:
    """The product of the factors, and its sum with the weight, in the precision of the file."""
    t = layer.tensors
    if {"t1", "t2", MAGNITUDE} & t.keys():
        return whole_change(key, layer, table)
    if layer.algorithm == "loha":
        product = (t["w1_a"] @ t["w1_b"]) * (t["w2_a"] @ t["w2_b"])
    else:
        first, second = (t[name] if name in t else t[f"{name}_a"] @ t[f"{name}_b"] for name in ("w1", "w2"))
        product = torch.kron(first[..., None, None] if second.ndim == 4 else first, second)
    weight = table.weight(key).float()
    change = product.reshape(weight.shape) * layer.scale
    return (weight.to(change.dtype) + change).float() - weight


def not_applied(reason: str) -> Effect:
    """The layer stays the base's.

    Args:
        reason: completes "not applied: ...".
    """
    return Effect(f"not applied, {reason}", _nothing)


def _unscaled(key: str, layer: LoraLayer, table: LayerTable) -> Tensor:
    return whole_change(key, replace(layer, alpha=float(layer.rank)), table)


def with_alpha(alpha: float) -> Effect:
    """The change scaled by another layer's alpha in place of its own."""

    def change(key: str, layer: LoraLayer, table: LayerTable) -> Tensor:
        return whole_change(key, replace(layer, alpha=alpha), table)

    return Effect(f"with alpha {alpha:g} of other layers in place of its own", change)


WHOLE = Effect("as trained")
WITHOUT_LENGTHS = Effect("a plain LoRA, without DoRA's lengths", _plain)
UNSCALED = Effect("without alpha", _unscaled)
UNSCALED_WITHOUT_LENGTHS = Effect("a plain LoRA, without alpha and DoRA's lengths", _plain_unscaled)
IN_HALF = Effect("as trained, but rounded: it multiplies the factors of a 16-bit file in 16 bits", _in_half)
WITHOUT_ZERO = Effect("at full strength, taking alpha 0 for no alpha", _unscaled)
WITHOUT_CORE = Effect("something else, without a word: it leaves the third factor of a convolution out", _without_core)
ROWS_AS_INPUTS = Effect(
    "something else, without a word: it takes the lengths of rows for those of input channels", _rows_as_inputs
)
BY_ROWS_OF_THE_BASE = Effect(
    "something else: it divides by the length of the base's rows, not of the changed ones", _by_rows_of_the_base
)
LENGTHS_OF_THE_BASE = Effect("with the base's lengths in place of the trained ones", _lengths_of_the_base)

"""Layers of a chosen rank: matrices become plain LoRA layers of a file, in the precision in which it is stored."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from scumble.edit.svd import Spectrum, Thin, leading_spectrum, spectrum, spectrum_of_product
from scumble.families.outline import Shape
from scumble.files.lorafile import LoraLayer

SEED = 1


@dataclass(frozen=True)
class Size:
    """How large the layers of a result may be; without either, as large as they come.

    Attributes:
        rank: the largest rank; None = as the energy needs, or as it is.
        energy: share of each layer's squared norm that is kept, in (0, 1]; None = as the rank allows.
    """

    rank: int | None = None
    energy: float | None = None

    def of(self, found: Spectrum) -> int:
        """The rank that a layer gets."""
        wanted = len(found.values) if self.energy is None else found.rank_for(self.energy)
        return max(1, min(wanted, len(found.values), self.rank or wanted))


def reduced(change: Thin, size: Size) -> Thin:
    """The nearest product of the size that is allowed; the same one if it is small enough."""
    if size.energy is None and (size.rank is None or change.rank <= size.rank):
        return change
    found = spectrum_of_product(change)
    return found.cut(size.of(found))


def fitted(change: Tensor, size: Size) -> Thin:
    """The nearest product to a whole change [out, in(, k, k)] of the size that is allowed."""
    matrix = change.flatten(1)
    if size.energy is None and size.rank is not None:
        found = leading_spectrum(matrix, size.rank, torch.Generator().manual_seed(SEED))
    else:
        found = spectrum(matrix)
    return found.cut(size.of(found))


def common_alpha(changes: Mapping[str, Thin]) -> float:
    """One alpha for all layers, because some readers know no other: the most frequent rank, the smallest of several."""
    counts = Counter(change.rank for change in changes.values())
    return float(min(counts, key=lambda rank: (-counts[rank], rank)))


def as_layer(change: Thin, shape: Shape, alpha: float, dtype: torch.dtype) -> LoraLayer:
    """A product of thin factors as a layer of a file; rounded once.

    Args:
        change: up [out, r], down [r, in k k].
        shape: of the layer's weight.
        alpha: what the file is to say; the factors make up for it.
        dtype: of the numbers.
    """
    rank = change.rank
    up = (change.up * (rank / alpha)).to(dtype).reshape(shape[0], rank, *[1] * (len(shape) - 2))
    down = change.down.to(dtype).reshape(rank, *shape[1:])
    return LoraLayer("lora", {"down": down.contiguous(), "up": up.contiguous()}, rank, alpha)

"""What an adapter is: a weight change of one frozen layer, written with few numbers.

Shapes: out, in and k are the frozen layer's, r is the rank, `...` any leading dimensions. What is said of [..., in]
holds for [B, in, H, W] where the layer is a convolution.
"""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from scumble.adapters.geometry import Geometry

Axis = Literal["output", "input"]
"""Which lines of a weight have a norm each: one per output row, or one per input channel."""


@dataclass(frozen=True)
class Dropout:
    """What is left out at random while training; each a probability in 0..1.

    Attributes:
        input: numbers of the adapter's input; the others grow, so that the mean stays.
        rank: directions of the change: of LoRA its ranks, for each sample; of the others rows of the change. The others
            grow likewise.
        module: the whole adapter, for one pass.
    """

    input: float = 0.0
    rank: float = 0.0
    module: float = 0.0

    @property
    def acts(self) -> bool:
        """Whether anything is left out."""
        return self.input > 0 or self.rank > 0 or self.module > 0


class Adapter(nn.Module):
    """The change of one layer's weight. Its parameters are float32 and are the only ones that train.

    Attributes:
        algorithm: the plug-in's name in the registry.
        geometry: of the layer it is for.
        rank: rank of the change, >= 1.
        alpha: the change is scaled by alpha / rank.
        dropout: acts only while the adapter is in training mode.
        starts_at_zero: the parameter that makes a new adapter change nothing; LoRA+ gives it a higher rate.
    """

    algorithm: str
    starts_at_zero: str

    def __init__(self, geometry: Geometry, rank: int, alpha: float) -> None:
        super().__init__()
        self.geometry = geometry
        self.rank = rank
        self.alpha = alpha
        self.dropout = Dropout()
        self.training = False

    @property
    def scale(self) -> float:
        """alpha / rank."""
        return self.alpha / self.rank

    def is_left_out(self) -> bool:
        """Whether module dropout drops this adapter from the pass that begins; draws from torch's own source."""
        return self.training and self.dropout.module > 0 and float(torch.rand(())) < self.dropout.module

    def leave_out(self, dropout: Dropout) -> None:
        """Set the dropout."""
        self.dropout = dropout

    def stand_on(self, layer: nn.Module) -> None:
        """Take another layer for the frozen one, where the algorithm reads its weight; it must have the same numbers."""

    def output(self, layer: nn.Module, x: Tensor, strength: float) -> Tensor:
        """The frozen layer's output [..., out] for x [..., in] with strength x change; algorithms that can make both at
        once do.
        """
        output: Tensor = layer(x)
        return self.added_to(output, x, strength)

    def added_to(self, output: Tensor, x: Tensor, strength: float) -> Tensor:
        """The layer's output [..., out] with strength x change applied to its input x [..., in], in the output's dtype."""
        return torch.add(output, self.change(x), alpha=strength)

    @abstractmethod
    def change(self, x: Tensor) -> Tensor:
        """The change applied to the layer's input, [..., in] -> [..., out], at strength 1, in the input's dtype."""

    def _with_dropout(self, x: Tensor) -> Tensor:
        """The input after its dropout."""
        return functional.dropout(x, self.dropout.input) if self.training and self.dropout.input > 0 else x

    @abstractmethod
    def delta(self) -> Tensor:
        """The whole change at strength 1, in the shape of the weight, float32."""

    def file_tensors(self, numbers: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The numbers of the canonical LoRA file, from those of the parameters.

        Args:
            numbers: parameter's name -> its value, now or at an earlier step.
        """
        return dict(numbers)

    def tensors(self) -> dict[str, Tensor]:
        """The numbers of the canonical LoRA file, as they are now."""
        return self.file_tensors(dict(self.named_parameters()))

    def added_squares(self, weight: Tensor, axis: Axis) -> Tensor:
        """How much the change adds to the squared norms of a weight's rows [out] or input channels [in], float32.

        Algorithms that can avoid the whole change do.

        Args:
            weight: the frozen weight in its own shape, float32.
            axis: what has a norm each.
        """
        delta = self.delta()
        return line_sums((2 * weight + delta) * delta, axis)

    def _rows_kept(self, change: Tensor) -> Tensor:
        """Rank dropout of algorithms without a row for each rank: some rows of the change are zero in this pass."""
        kept = 1 - self.dropout.rank
        if not self.training or kept == 1:
            return change
        mask = (torch.rand(self.geometry.out_features, device=change.device) < kept).to(change.dtype) / kept
        return change * (mask.view(-1, 1, 1) if self.geometry.is_conv else mask)


def line_sums(values: Tensor, axis: Axis) -> Tensor:
    """Sums over all but one dimension of a weight [out, in(, k, k)]: [out] for "output", [in] for "input"."""
    kept = 0 if axis == "output" else 1
    return values.sum(dim=[dim for dim in range(values.ndim) if dim != kept])


def line_view(lines: Tensor, axis: Axis, num_dims: int) -> Tensor:
    """[out] or [in] as [out, 1(, 1, 1)] or [1, in(, 1, 1)]: it multiplies a weight."""
    shape = [1] * num_dims
    shape[0 if axis == "output" else 1] = -1
    return lines.view(shape)

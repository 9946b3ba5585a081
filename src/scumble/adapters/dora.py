"""DoRA: each line of the changed weight gets a length of its own, trained apart from its direction (Liu et al. 2024,
arXiv:2402.09353). It modifies any algorithm:

W' = m V / |V|        V = W + Delta W        |V| of each output row, or of each input channel

The length m / |V| multiplies the layer's output or its input, so that V itself is never built to run it. At strength t
the layer is W + t (W' - W).
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from scumble.adapters.base import Adapter, Axis, Dropout, line_sums, line_view
from scumble.adapters.weight import bias_of, weight_of
from scumble.device import home_of_float64
from scumble.errors import LoraFileError

MAGNITUDE = "magnitude"
_TINY = torch.finfo(torch.float32).tiny


class DoraAdapter(Adapter):
    """An adapter whose changed weight has lines of trained length.

    Args:
        inner: the change of direction.
        magnitude: m, float32, [out, 1(, 1, 1)] or [1, in(, 1, 1)].
        layer: the frozen layer; its weight takes part in every norm.
        is_norm_trained: let the gradient flow through |V| too, as LyCORIS does; the paper and PEFT take |V| for a
            constant, which saves memory and learns as well.
    """

    def __init__(self, inner: Adapter, magnitude: Tensor, layer: nn.Module, is_norm_trained: bool = False) -> None:
        super().__init__(inner.geometry, inner.rank, inner.alpha)
        self.inner = inner
        self.magnitude = nn.Parameter(magnitude)
        self.axis: Axis = "output" if magnitude.shape[1] == 1 and magnitude.shape[0] != 1 else "input"
        if magnitude.shape[0] == magnitude.shape[1] == 1:
            self.axis = "output"
        self.is_norm_trained = is_norm_trained
        self.algorithm = inner.algorithm
        self.starts_at_zero = f"inner.{inner.starts_at_zero}"
        self._frozen = (layer,)  # in a tuple: the layer is not a part of this module
        self._squares: Tensor | None = None

    def leave_out(self, dropout: Dropout) -> None:
        """Dropout acts on the change of direction; that of the module on the whole."""
        super().leave_out(dropout)
        self.inner.leave_out(Dropout(dropout.input, dropout.rank))

    def stand_on(self, layer: nn.Module) -> None:
        """See `Adapter`; the norms are those of the layer."""
        self._frozen, self._squares = (layer,), None

    def factors(self) -> Tensor:
        """m / |V| of each line, [out] or [in], float32."""
        with torch.set_grad_enabled(self.is_norm_trained and torch.is_grad_enabled()):
            norms = self._norms()
        lengths: Tensor = self.magnitude.flatten() / norms
        return lengths

    def _norms(self) -> Tensor:
        weight = weight_of(self._frozen[0]).detach().float()
        if self._squares is None or self._squares.device != weight.device:
            self._squares = line_sums(weight.square(), self.axis)
        squares: Tensor = self._squares + self.inner.added_squares(weight, self.axis)
        return torch.clamp(squares, min=_TINY).sqrt()

    def change(self, x: Tensor) -> Tensor:
        """W' x - W x; `run_with_lengths` does without a second pass through the layer where it can."""
        layer = self._frozen[0]
        plain: Tensor = layer(x)
        return run_with_lengths(layer, [(self, 1.0)], x) - plain

    def delta(self) -> Tensor:
        """W' - W, in float64 until the end: it is a small difference of large numbers."""
        frozen = weight_of(self._frozen[0]).detach()
        weight = frozen.to(home_of_float64(frozen.device)).double()
        changed = weight + self.inner.delta().to(weight.device).double()
        norms = line_sums(changed.square(), self.axis).clamp_min(_TINY).sqrt()
        if not self.is_norm_trained:
            norms = norms.detach()
        lengths = line_view(self.magnitude.to(weight.device).flatten() / norms, self.axis, changed.ndim)
        return (changed * lengths - weight).float().to(frozen.device)

    def file_tensors(self, numbers: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The inner algorithm's numbers and "magnitude"."""
        inner = {name.removeprefix("inner."): number for name, number in numbers.items() if name != MAGNITUDE}
        return {**self.inner.file_tensors(inner), MAGNITUDE: numbers[MAGNITUDE]}


def run_with_lengths(layer: nn.Module, active: Sequence[tuple[Adapter, float]], x: Tensor) -> Tensor:
    """The layer's output [..., out] for x [..., in] with adapters of which some are DoRA.

    W + sum t (W' - W) is W with its rows or input channels made longer, plus the inner changes made longer too.

    Args:
        layer: the frozen layer.
        active: adapters and strengths.
        x: the layer's input.
    """
    is_conv = active[0][0].geometry.is_conv
    factors = {index: one.factors() for index, (one, _) in enumerate(active) if isinstance(one, DoraAdapter)}
    totals: dict[Axis, Tensor] = {}
    for index, lengths in factors.items():
        adapter, strength = active[index]
        assert isinstance(adapter, DoraAdapter)
        more = strength * (lengths - 1)
        totals[adapter.axis] = totals[adapter.axis] + more if adapter.axis in totals else more
    along = {axis: _along(total, is_conv, x.dtype) for axis, total in totals.items()}
    output = _lengthened(layer, along.get("output"), along.get("input"), x)
    for index, (adapter, strength) in enumerate(active):
        if not isinstance(adapter, DoraAdapter):
            output = adapter.added_to(output, x, strength)
            continue
        lengths = _along(factors[index], is_conv, x.dtype)
        if adapter.axis == "input":
            output = adapter.inner.added_to(output, x * lengths, strength)
        else:
            output = torch.add(output, adapter.inner.change(x) * lengths, alpha=strength)
    return output


def _lengthened(layer: nn.Module, outer: Tensor | None, inner: Tensor | None, x: Tensor) -> Tensor:
    """W with longer rows and input channels, and the bias.

    Small changes of length are added rather than multiplied in: 1 + 0.001 is 1 in bfloat16.
    """
    if inner is not None and outer is None and x.dtype == torch.float32:
        lengthened: Tensor = layer(x + x * inner)
        return lengthened
    output: Tensor = layer(x)
    bias = bias_of(layer)
    if bias is not None:
        bias = bias.view(-1, 1, 1) if weight_of(layer).ndim == 4 else bias
    plain = output if bias is None else output - bias
    if outer is not None:
        output = output + plain * outer
    if inner is not None:
        more = layer(x * inner)
        output = output + (more if bias is None else more - bias)
    return output


def _along(lines: Tensor, is_conv: bool, dtype: torch.dtype) -> Tensor:
    """[out] or [in] so that it multiplies the layer's output or input."""
    lines = lines.to(dtype)
    return lines.view(-1, 1, 1) if is_conv else lines


def create(inner: Adapter, layer: nn.Module, axis: Axis, is_norm_trained: bool = False) -> DoraAdapter:
    """DoRA around a new adapter: the lengths are those of the frozen weight, so that nothing changes yet."""
    weight = weight_of(layer).detach().float()
    inner.to(weight.device)  # where a GPU has the layer already
    squares = line_sums(weight.square(), axis) + inner.added_squares(weight, axis).detach()
    lengths = squares.clamp_min(_TINY).sqrt()
    return DoraAdapter(inner, line_view(lengths, axis, weight.ndim), layer, is_norm_trained)


def from_tensors(inner: Adapter, layer: nn.Module, magnitude: Tensor, path: str) -> DoraAdapter:
    """DoRA around an adapter with given numbers.

    Raises:
        LoraFileError: the magnitude fits neither axis of the layer.
    """
    shape = inner.geometry.shape
    ones = [1] * len(inner.geometry.kernel)
    if list(magnitude.shape) not in ([shape[0], 1, *ones], [1, shape[1], *ones]):
        raise LoraFileError(
            f"{path}: found a DoRA magnitude {list(magnitude.shape)}, expected {[shape[0], 1, *ones]} or "
            f"{[1, shape[1], *ones]}: the file was made for another base model"
        )
    return DoraAdapter(inner, magnitude.detach().float().clone(), layer)

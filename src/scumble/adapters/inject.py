"""Putting adapters on a model's layers, folding them into the weights, and taking them off without a trace."""

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from scumble.adapters.base import Adapter
from scumble.adapters.dora import DoraAdapter, run_with_lengths
from scumble.adapters.stored import StoredLayer
from scumble.adapters.weight import bias_of, weight_of
from scumble.device import has_room_for


class AdaptedLayer(nn.Module):
    """A frozen layer with any number of named adapters, each with a strength.

    Args:
        layer: the frozen layer; it stays the very same object and is given back by `eject`.
    """

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer
        self.names: list[str] = []
        self.strengths: dict[str, float] = {}
        self.adapters = nn.ModuleList()
        self.is_folded = False
        self.original: Tensor | None = None  # the untouched weight while the adapters are folded into it

    @property
    def weight(self) -> Tensor:
        """The frozen layer's weight: libraries ask for its dtype and device."""
        return weight_of(self.layer)

    @property
    def bias(self) -> Tensor | None:
        """The frozen layer's bias."""
        return bias_of(self.layer)

    def forward(self, x: Tensor) -> Tensor:
        """The layer's output [..., out] with every adapter of non-zero strength."""
        active = [] if self.is_folded else self.active()
        active = [(adapter, strength) for adapter, strength in active if not adapter.is_left_out()]
        if any(isinstance(adapter, DoraAdapter) for adapter, _ in active):
            return run_with_lengths(self.layer, active, x)
        if not active:
            plain: Tensor = self.layer(x)
            return plain
        (first, first_strength), *others = active
        output = first.output(self.layer, x, first_strength)
        for adapter, strength in others:
            output = adapter.added_to(output, x, strength)
        return output

    def active(self) -> list[tuple[Adapter, float]]:
        """The adapters that change something, with their strengths."""
        pairs = ((adapter, self.strengths[name]) for name, adapter in zip(self.names, self.adapters, strict=True))
        return [(adapter, strength) for adapter, strength in pairs if isinstance(adapter, Adapter) and strength != 0.0]


def adapted_layers(model: nn.Module) -> Iterator[tuple[str, AdaptedLayer]]:
    """Dotted path and wrapper of every adapted layer, in the model's order."""
    for path, module in model.named_modules():
        if isinstance(module, AdaptedLayer):
            yield path, module


def attach(model: nn.Module, name: str, adapters: Mapping[str, Adapter], strength: float = 1.0) -> None:
    """Put named adapters on a model's layers.

    Args:
        model: changed in place; its adapters must not be folded in.
        name: a name that no attached adapter has.
        adapters: dotted path of a layer -> its adapter; moved to the layer's device, kept in float32.
        strength: factor on the change; 0 gives the base exactly.
    """
    for path, adapter in adapters.items():
        module = model.get_submodule(path)
        if not isinstance(module, AdaptedLayer):
            module = AdaptedLayer(module)
            model.set_submodule(path, module)
        assert name not in module.names, f"{path} already has an adapter named {name}"
        assert not module.is_folded, "unfold before attaching"
        module.names.append(name)
        module.strengths[name] = strength
        module.adapters.append(adapter.to(module.weight.device))


def set_strength(model: nn.Module, name: str, strength: float, factors: Mapping[str, float] | None = None) -> None:
    """Change the strength of a named adapter on all its layers; unfolded models only.

    Args:
        factors: dotted path of a layer -> factor on the strength there; None = 1 everywhere.
    """
    for path, module in adapted_layers(model):
        assert not module.is_folded, "unfold before changing a strength"
        if name in module.strengths:
            module.strengths[name] = strength if factors is None else strength * factors[path]


def detach(model: nn.Module, name: str) -> None:
    """Take a named adapter off; a layer without adapters gets its place in the model back."""
    for path, module in list(adapted_layers(model)):
        if name in module.names:
            assert not module.is_folded, "unfold before detaching"
            index = module.names.index(name)
            del module.names[index], module.strengths[name]
            # another list: one that something was deleted from is of another kind to compiled code
            module.adapters = nn.ModuleList(each for place, each in enumerate(module.adapters) if place != index)
        if not module.names:
            model.set_submodule(path, module.layer)


def eject(model: nn.Module) -> None:
    """Take all adapters off: the model is the one it was, the same layer objects and weights to the bit."""
    unfold(model)
    for path, module in list(adapted_layers(model)):
        model.set_submodule(path, module.layer)


@torch.no_grad()
def fold(model: nn.Module) -> None:
    """Add every adapter's change to its layer's weight, in float32, so that running costs nothing extra.

    The untouched weights are kept, on a GPU without room for them in the computer's memory, so that `unfold` restores them
    to the bit. A layer whose weight is stored otherwise holds its changed one for as long.
    """
    changing = [
        weight_of(module.layer)
        for _, module in adapted_layers(model)
        if module.active() and not isinstance(module.layer, StoredLayer)
    ]
    has_room = not changing or has_room_for(sum(weight.nbytes for weight in changing), changing[0].device)
    for _, module in adapted_layers(model):
        assert not module.is_folded, "folded already"
        module.is_folded = True
        active = module.active()
        if not active:
            continue
        weight = weight_of(module.layer)
        changed = weight.float()
        for adapter, strength in active:
            changed = changed + strength * adapter.delta()
        if isinstance(module.layer, StoredLayer):
            module.layer.replaced = changed.to(weight.dtype)
        else:
            module.original = weight.data if has_room else weight.data.cpu()
            weight.data = changed.to(weight.dtype)


def unfold(model: nn.Module) -> None:
    """Put the kept weights back; nothing to do where nothing is folded in."""
    for _, module in adapted_layers(model):
        module.is_folded = False
        if isinstance(module.layer, StoredLayer):
            module.layer.replaced = None
        elif module.original is not None:
            weight = weight_of(module.layer)
            weight.data = module.original.to(weight.device)
            module.original = None

"""Putting adapters on a model's layers, folding them into the weights, and taking them off without a trace."""

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from scumble.adapters.base import Adapter, weight_of


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
        self.original: Tensor | None = None  # the untouched weight while the adapters are folded in

    @property
    def weight(self) -> Tensor:
        """The frozen layer's weight: libraries ask for its dtype and device."""
        return weight_of(self.layer)

    @property
    def bias(self) -> Tensor | None:
        """The frozen layer's bias."""
        bias = self.layer.bias
        assert bias is None or isinstance(bias, Tensor)
        return bias

    def forward(self, x: Tensor) -> Tensor:
        """The layer's output [..., out] with every adapter of non-zero strength."""
        output: Tensor = self.layer(x)
        if self.original is None:
            for name, adapter in zip(self.names, self.adapters, strict=True):
                if self.strengths[name] != 0.0:
                    assert isinstance(adapter, Adapter)
                    output = adapter.added_to(output, x, self.strengths[name])
        return output


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
        assert module.original is None, "unfold before attaching"
        module.names.append(name)
        module.strengths[name] = strength
        module.adapters.append(adapter.to(module.weight.device))


def set_strength(model: nn.Module, name: str, strength: float) -> None:
    """Change the strength of a named adapter on all its layers; unfolded models only."""
    for _, module in adapted_layers(model):
        assert module.original is None, "unfold before changing a strength"
        if name in module.strengths:
            module.strengths[name] = strength


def detach(model: nn.Module, name: str) -> None:
    """Take a named adapter off; a layer without adapters gets its place in the model back."""
    for path, module in list(adapted_layers(model)):
        if name in module.names:
            assert module.original is None, "unfold before detaching"
            index = module.names.index(name)
            del module.names[index], module.strengths[name], module.adapters[index]
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

    The untouched weights are kept, so that `unfold` restores them to the bit.
    """
    for _, module in adapted_layers(model):
        assert module.original is None, "folded already"
        weight = weight_of(module.layer)
        assert isinstance(weight, nn.Parameter)
        changed = weight.float()
        for name, adapter in zip(module.names, module.adapters, strict=True):
            if module.strengths[name] != 0.0:
                assert isinstance(adapter, Adapter)
                changed = changed + module.strengths[name] * adapter.delta()
        module.original = weight.data
        weight.data = changed.to(weight.dtype)


def unfold(model: nn.Module) -> None:
    """Put the kept weights back; nothing to do where nothing is folded in."""
    for _, module in adapted_layers(model):
        if module.original is not None:
            weight = weight_of(module.layer)
            weight.data = module.original
            module.original = None

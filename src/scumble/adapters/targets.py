"""Which layers of a model are adapted: presets and path patterns, resolved to dotted module paths."""

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase

from torch import nn

from scumble.adapters.geometry import can_be_adapted
from scumble.adapters.inject import AdaptedLayer
from scumble.adapters.stored import StoredLayer
from scumble.adapters.weight import weight_of
from scumble.errors import TargetError, nearest

PRESETS: dict[str, tuple[str, ...]] = {
    "attention": ("*.attn[12].to_[qkv]", "*.attn[12].to_out.0", "*.self_attn.*_proj"),
    "self-attention": ("*.attn1.to_[qkv]", "*.attn1.to_out.0", "*.self_attn.*_proj"),
    "cross-attention": ("*.attn2.to_[qkv]", "*.attn2.to_out.0"),
    "feed-forward": ("*.ff.net.0.proj", "*.ff.net.2", "*.mlp.fc[12]"),
    "proj": ("*.proj_in", "*.proj_out"),
    "conv": ("*.resnets.*.conv[12]", "*.resnets.*.conv_shortcut", "*samplers.*.conv"),
}
KINDS: dict[str, int] = {"all-linear": 2, "all-conv": 4}
"""Presets that mean every layer of a kind -> how many dimensions its weight has."""


def adaptable(layer: nn.Module) -> bool:
    """Whether an adapter can be put on this layer."""
    return isinstance(layer, AdaptedLayer | StoredLayer) or can_be_adapted(layer)


def find_targets(model: nn.Module, targets: Iterable[str]) -> list[str]:
    """Dotted paths of the layers that the presets and patterns name, in the model's order.

    Args:
        model: the model to look in.
        targets: presets, or patterns over the dotted path with *, ? and [..], such as "*.attn2.to_q".
    Raises:
        TargetError: a preset or pattern matches no layer that can be adapted.
    """
    return matching({path: layer for path, layer in model.named_modules() if not _inside_adapted(path, model)}, targets)


def matching(modules: Mapping[str, nn.Module], targets: Iterable[str]) -> list[str]:
    """Those of named modules that the presets and patterns name, in their order; see `find_targets`."""
    layers = [path for path, layer in modules.items() if adaptable(layer)]
    found: set[str] = set()
    for target in targets:
        matches = [path for path in layers if _means(target, path, modules[path])]
        if not matches:
            others = [path for path in modules if fnmatchcase(path, target)]
            hint = (
                f": it names {others[0]}, a {type(modules[others[0]]).__name__}, which cannot be adapted"
                if others
                else nearest(target, [*PRESETS, *KINDS, *_patterns(layers)])
            )
            raise TargetError(f"target '{target}' matches no layer{hint}")
        found.update(matches)
    return [path for path in layers if path in found]


def _means(target: str, path: str, layer: nn.Module) -> bool:
    if target in KINDS:
        return weight_of(layer).ndim == KINDS[target]
    return any(fnmatchcase(path, pattern) for pattern in PRESETS.get(target, (target,)))


def _inside_adapted(path: str, model: nn.Module) -> bool:
    parent, _, _ = path.rpartition(".")
    while parent:
        if isinstance(model.get_submodule(parent), AdaptedLayer):
            return True
        parent, _, _ = parent.rpartition(".")
    return False


def _patterns(layers: Iterable[str]) -> list[str]:
    """The short patterns by which a person may mean these layers: "*.attn1.to_q", "*.to_out.0", "*.proj"."""
    ends = {".".join(path.split(".")[-length:]) for path in layers for length in (1, 2)}
    return sorted(f"*.{end}" for end in ends if not end.isdigit() and not end[0].isdigit())

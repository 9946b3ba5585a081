"""Which layers of a model are adapted: presets and path patterns, resolved to dotted module paths."""

from collections.abc import Iterable
from fnmatch import fnmatchcase

from torch import nn

from scumble.adapters.inject import AdaptedLayer
from scumble.errors import TargetError, nearest

PRESETS: dict[str, tuple[str, ...]] = {
    "attention": ("*.attn[12].to_q", "*.attn[12].to_k", "*.attn[12].to_v", "*.attn[12].to_out.0"),
    "self-attention": ("*.attn1.to_q", "*.attn1.to_k", "*.attn1.to_v", "*.attn1.to_out.0"),
    "cross-attention": ("*.attn2.to_q", "*.attn2.to_k", "*.attn2.to_v", "*.attn2.to_out.0"),
}


def adaptable(layer: nn.Module) -> bool:
    """Whether an adapter can be put on this layer."""
    return isinstance(layer, nn.Linear | AdaptedLayer)


def find_targets(model: nn.Module, targets: Iterable[str]) -> list[str]:
    """Dotted paths of the layers that the presets and patterns name, in the model's order.

    Args:
        model: the model to look in.
        targets: presets, or patterns over the dotted path with *, ? and [..], such as "*.attn2.to_q".
    Raises:
        TargetError: a preset or pattern matches no layer that can be adapted.
    """
    modules = {path: layer for path, layer in model.named_modules() if not _inside_adapted(path, model)}
    layers = [path for path, layer in modules.items() if adaptable(layer)]
    found: set[str] = set()
    for target in targets:
        patterns = PRESETS.get(target, (target,))
        matches = [path for path in layers if any(fnmatchcase(path, pattern) for pattern in patterns)]
        if not matches:
            others = [path for path in modules if fnmatchcase(path, target)]
            hint = (
                f": it names {others[0]}, a {type(modules[others[0]]).__name__}, which cannot be adapted"
                if others
                else nearest(target, [*PRESETS, *_patterns(layers)])
            )
            raise TargetError(f"target '{target}' matches no layer{hint}")
        found.update(matches)
    return [path for path in layers if path in found]


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

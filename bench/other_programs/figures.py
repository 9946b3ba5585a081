"""Figures of a program on a file, beside the exact change and our statement."""

from collections.abc import Mapping

import torch
from torch import Tensor

Changes = Mapping[str, Tensor]
EQUAL = 1e-4
"""Two changes of a layer are equal if they are apart by less than this part of the exact change."""


def figures(found: Changes, exact: Changes) -> dict[str, object]:
    """Layers changed, and how far from the exact change.

    Args:
        found: canonical key -> change; a layer that lacks is unchanged.
        exact: the same of every layer of the file.
    Returns:
        "applied": "changed layers/layers in the file"; "elsewhere": changed layers that are not in the file, if any;
        "distance": |found - exact| / |exact| over all layers.
    """
    apart = sum(_square(_of(found, key) - _of(exact, key)) for key in {**found, **exact})
    size = sum(_square(change) for change in exact.values())
    elsewhere = len(found.keys() - exact.keys())
    return {
        "applied": f"{len(found.keys() & exact.keys())}/{len(exact)}",
        **({"elsewhere": elsewhere} if elsewhere else {}),
        "distance": float(f"{(apart / size) ** 0.5:.3g}"),
    }


def unequal(found: Changes, stated: Changes, exact: Changes) -> list[str]:
    """The layers where a program does something else than was stated."""
    return [
        key
        for key in {**exact, **found, **stated}
        if _square(_of(found, key) - _of(stated, key)) ** 0.5 > EQUAL * _size(key, exact, found, stated)
    ]


def _of(changes: Changes, key: str) -> Tensor:
    change = changes.get(key)
    return torch.zeros((), dtype=torch.float64) if change is None else change.double()


def _square(change: Tensor) -> float:
    return float(change.square().sum())


def _size(key: str, *several: Changes) -> float:
    """Of the exact change; of what else is there where that is zero."""
    return next((size for changes in several if (size := _square(_of(changes, key)) ** 0.5) > 0), 0.0)

"""A batch in parts, for a device that has no room for all of it at once."""

from collections.abc import Mapping
from dataclasses import fields, replace
from itertools import pairwise
from typing import Any

from scumble.train.batches import Batch


def split(batch: Batch, parts: int) -> list[tuple[int, Batch]]:
    """Parts of a batch that differ by one sample at most, each with the number of samples before it.

    Args:
        batch: of B samples.
        parts: how many, in 1..B.
    """
    if parts == 1:
        return [(0, batch)]
    count = len(batch.timesteps)
    ends = [count * part // parts for part in range(parts + 1)]
    return [
        (start, replace(batch, **{each.name: _rows(getattr(batch, each.name), start, end) for each in fields(batch)}))
        for start, end in pairwise(ends)
    ]


def _rows(value: Any, start: int, end: int) -> Any:
    if value is None:
        return None
    if isinstance(value, Mapping):
        return {name: _rows(each, start, end) for name, each in value.items()}
    return value[start:end]

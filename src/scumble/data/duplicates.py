"""Pictures that are the same: byte for byte, or to the eye."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from scumble.data.quality import Look

NEAR = 6
"""Bits, of 64, in which the patterns of near duplicates differ at most: resaving moves 0 to 4, another photo about 32."""

ROWS = 1024
"""Pictures compared with all others at once: 40 MB for 10,000."""


def equal_groups(contents: Sequence[str]) -> list[tuple[int, ...]]:
    """Positions of pictures with the same bytes, two or more a group, in order.

    Args:
        contents: hash of each picture's file.
    """
    places: dict[str, list[int]] = {}
    for index, content in enumerate(contents):
        places.setdefault(content, []).append(index)
    return [tuple(group) for group in places.values() if len(group) > 1]


def near_groups(looks: Sequence[Look], distance: int = NEAR) -> list[tuple[int, ...]]:
    """Positions of pictures that look alike, two or more a group, in order; what is nearly one colour is like nothing.

    Two pictures are of one group where their patterns differ in so few bits, or both belong to a third's.

    Args:
        looks: at each picture.
        distance: bits of 64 that may differ.
    """
    seen = [index for index, look in enumerate(looks) if not look.is_uniform]
    parents = list(range(len(looks)))

    def root(index: int) -> int:
        while parents[index] != index:
            parents[index] = parents[parents[index]]
            index = parents[index]
        return index

    for one, other in _alike([looks[index].pattern for index in seen], distance):
        first, second = sorted((root(seen[one]), root(seen[other])))
        parents[second] = first
    groups: dict[int, list[int]] = {}
    for index in seen:
        groups.setdefault(root(index), []).append(index)
    return [tuple(group) for group in groups.values() if len(group) > 1]


def kin(contents: Sequence[str], looks: Sequence[Look | None]) -> list[str]:
    """For each picture the content of the first that equals it or looks alike: equal for what belongs on one side of a split.

    Args:
        contents: hash of each picture's file.
        looks: at each picture; None = only its bytes tell.
    """
    labels = list(contents)
    known = [index for index, look in enumerate(looks) if look is not None]
    for group in near_groups([look for look in looks if look is not None]):
        for member in group:
            labels[known[member]] = contents[known[group[0]]]
    return labels


def _alike(patterns: Sequence[int], distance: int) -> Iterator[tuple[int, int]]:
    """Pairs of positions, the lower first, whose patterns differ in at most so many bits."""
    signs = _signs(patterns)
    for start in range(0, len(patterns), ROWS):
        # of two rows of 64 signs, the product is 64 less twice the number that differ
        products = signs[start : start + ROWS] @ signs[start:].T
        for row, column in np.argwhere(products >= signs.shape[1] - 2 * distance):
            if row < column:
                yield start + int(row), start + int(column)


def _signs(patterns: Sequence[int]) -> NDArray[np.float32]:
    """Each pattern as 64 numbers that are 1 or -1."""
    words = np.array(patterns, dtype=">u8").view(np.uint8).reshape(len(patterns), 8)
    return np.unpackbits(words, axis=1).astype(np.float32) * 2 - 1

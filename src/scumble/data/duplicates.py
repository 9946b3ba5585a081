"""Pictures that are the same: byte for byte, or to the eye."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from scumble.data.quality import COLOURS, Look

NEAR = 6
"""Bits, of 64, in which the patterns of near duplicates differ at most: resaving moves 0 to 4, another photo about 32."""

NEAR_COLOURS = 24.0
"""Mean difference, of 255, in which the colours of near duplicates differ at most."""

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

    Two pictures are of one group where their patterns differ in so few bits and their colours hardly, or both belong to
    a third's.

    Args:
        looks: at each picture.
        distance: bits of 64 that may differ.
    """
    seen = [index for index, look in enumerate(looks) if not look.is_uniform]
    groups: dict[int, list[int]] = {}
    for index, label in zip(seen, _labels([looks[index] for index in seen], distance), strict=True):
        groups.setdefault(label, []).append(index)
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


def _labels(looks: Sequence[Look], distance: int) -> list[int]:
    """A number of each picture, the same for those that are alike: the position of the first of them."""
    signs = _signs([look.pattern for look in looks])
    colours = np.frombuffer(b"".join(look.colours for look in looks), np.uint8).reshape(-1, COLOURS).astype(np.int16)
    labels = np.arange(len(looks))
    for start in range(0, len(looks), ROWS):
        # of two rows of 64 signs, the product is 64 less twice the number that differ
        is_like = signs[start : start + ROWS] @ signs[start:].T >= signs.shape[1] - 2 * distance
        for row in np.flatnonzero(is_like.sum(axis=1) > 1):
            others = start + np.flatnonzero(is_like[row])
            others = others[np.abs(colours[others] - colours[start + row]).mean(axis=1) <= NEAR_COLOURS]
            found = np.unique(labels[others])
            if len(found) > 1:
                labels[np.isin(labels, found)] = found[0]
    return [int(label) for label in labels]


def _signs(patterns: Sequence[int]) -> NDArray[np.float32]:
    """Each pattern as 64 numbers that are 1 or -1."""
    words = np.array(patterns, dtype=">u8").view(np.uint8).reshape(len(patterns), 8)
    return np.unpackbits(words, axis=1).astype(np.float32) * 2 - 1

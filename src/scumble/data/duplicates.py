"""Pictures that are the same: byte for byte, or to the eye."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from scumble.data.quality import COLOURS, Look

NEAR = 6
"""Bits, of 64, in which the patterns of near duplicates differ at most: resaving moves 0 to 4, another photo about 32."""

NEAR_COLOURS = 24.0
"""Mean difference, of 255, in which the colours of near duplicates differ at most."""

WORDS, WORD_BITS = 4, 16
"""A pattern in parts: of two that differ in d bits, one part differs in a quarter of d at most."""

BITS_SET = np.array([word.bit_count() for word in range(2**WORD_BITS)])

PAIRS = 2**17
"""Candidates compared at once, some 30 MB; of pictures that are all alike the first ones join the rest."""


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
    for index, label in zip(seen, _labels([looks[index] for index in seen], distance).tolist(), strict=True):
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


def _labels(looks: Sequence[Look], distance: int) -> NDArray[np.int64]:
    """A number of each picture, the same for those that are alike: the position of the first of them.

    Looked up by parts of the pattern, so that not every pair is compared (Norouzi, Punjani and Fleet 2012, "Fast Search in
    Hamming Space with Multi-Index Hashing").
    """
    patterns = np.array([look.pattern for look in looks], np.uint64)
    colours = np.frombuffer(b"".join(look.colours for look in looks), np.uint8).reshape(-1, COLOURS).astype(np.int16)
    labels = np.arange(len(looks))
    for one, other in _candidates(patterns, distance // WORDS):
        is_open = labels[one] != labels[other]  # of many that are all alike, most pairs are joined by others
        one, other = one[is_open], other[is_open]
        is_near = _num_bits(patterns[one] ^ patterns[other]) <= distance
        one, other = one[is_near], other[is_near]
        is_like = np.abs(colours[one] - colours[other]).mean(axis=1) <= NEAR_COLOURS
        labels = _joined(labels, one[is_like], other[is_like])
    return labels


def _candidates(patterns: NDArray[np.uint64], radius: int) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Positions of pairs of which a part differs in so few bits; some at a time, some pairs for several parts."""
    masks = [mask for mask in range(2**WORD_BITS) if mask.bit_count() <= radius]
    for place in range(WORDS):
        words = (patterns >> np.uint64(place * WORD_BITS) & np.uint64(2**WORD_BITS - 1)).astype(np.int64)
        order = np.argsort(words, kind="stable")
        counts = np.bincount(words, minlength=2**WORD_BITS)
        starts = np.cumsum(counts) - counts
        ranks = np.empty(len(order), np.int64)
        ranks[order] = np.arange(len(order))
        # each pair once: with those behind of the same part, and with those of a higher part
        yield from _pairs(order, ranks + 1, starts[words] + counts[words] - ranks - 1)
        for mask in masks[1:]:
            wanted = words ^ mask
            yield from _pairs(order, starts[wanted], np.where(wanted > words, counts[wanted], 0))


def _pairs(
    order: NDArray[np.int64], starts: NDArray[np.int64], counts: NDArray[np.int64]
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Each position with those that its stretch of the order holds.

    Args:
        order: positions.
        starts: of each position, where its stretch begins.
        counts: of each position, how long its stretch is.
    """
    ends = np.cumsum(counts)
    first = 0
    while first < len(ends):
        before = ends[first] - counts[first]
        last = max(first + 1, int(np.searchsorted(ends, before + PAIRS, side="right")))
        sizes = counts[first:last]
        one = np.repeat(np.arange(first, last), sizes)
        within = np.arange(len(one)) - np.repeat(ends[first:last] - sizes - before, sizes)
        yield one, order[np.repeat(starts[first:last], sizes) + within]
        first = last


def _joined(labels: NDArray[np.int64], one: NDArray[np.int64], other: NDArray[np.int64]) -> NDArray[np.int64]:
    """The labels once each pair has the same, the lowest of all that hang together."""
    while len(one):
        ends = labels[one], labels[other]
        lowest = np.minimum(*ends)
        for end in ends:
            np.minimum.at(labels, end, lowest)
        while not np.array_equal(labels, labels[labels]):
            labels = labels[labels]
        is_open = labels[one] != labels[other]
        one, other = one[is_open], other[is_open]
    return labels


def _num_bits(words: NDArray[np.uint64]) -> NDArray[np.int64]:
    """How many bits of each are set."""
    counts: NDArray[np.int64] = BITS_SET[words.view(np.uint16).reshape(-1, WORDS)].sum(axis=1)
    return counts

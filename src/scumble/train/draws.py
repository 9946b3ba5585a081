"""Everything random in training, as pure functions of (seed, position): resuming needs no replay.

A position counts the samples seen since the start: sample k of micro-batch j of step s has position
(s * accumulation + j) * batch_size + k.
"""

import hashlib
from functools import lru_cache

import torch
from torch import Tensor


def generator(seed: int, *labels: str | int) -> torch.Generator:
    """A CPU generator that depends on the seed and the labels alone."""
    return torch.Generator().manual_seed(seed_of(seed, *labels))


def seed_of(seed: int, *labels: str | int) -> int:
    """A seed, in 0..2^63 - 1, that depends on the seed and the labels alone."""
    digest = hashlib.sha256(repr((seed, *labels)).encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


def index_at(seed: int, position: int, count: int, stream: str) -> int:
    """Which of `count` examples the position uses: each epoch is a permutation of its own.

    Args:
        seed: the run's seed.
        position: samples of this stream before this one.
        count: number of examples, >= 1.
        stream: "own" or "class": the two orders are independent.
    """
    epoch, place = divmod(position, count)
    return int(_order(seed, stream, epoch, count)[place])


@lru_cache(maxsize=4)
def _order(seed: int, stream: str, epoch: int, count: int) -> Tensor:
    return torch.randperm(count, generator=generator(seed, "order", stream, epoch))


def bucket_at(seed: int, batch: int, sizes: tuple[int, ...]) -> tuple[int, int]:
    """Which size of pictures a batch has, and how many batches of that size came before.

    In a round of as many batches as there are pictures, each size has as many batches as it has pictures: every picture
    is seen equally often.

    Args:
        seed: the run's seed.
        batch: number of the batch.
        sizes: number of pictures of each size.
    """
    if len(sizes) == 1:
        return 0, batch
    turn, place = divmod(batch, sum(sizes))
    order, before = _round(seed, turn, sizes)
    bucket = order[place]
    return bucket, turn * sizes[bucket] + before[place]


@lru_cache(maxsize=4)
def _round(seed: int, turn: int, sizes: tuple[int, ...]) -> tuple[list[int], list[int]]:
    """The size of each batch of a round, and how many of that size came before in it."""
    each = [bucket for bucket, size in enumerate(sizes) for _ in range(size)]
    order = [each[index] for index in torch.randperm(len(each), generator=generator(seed, "sizes", turn)).tolist()]
    counts = [0] * len(sizes)
    before = []
    for bucket in order:
        before.append(counts[bucket])
        counts[bucket] += 1
    return order, before


def is_flipped(seed: int, position: int) -> bool:
    """A fair coin."""
    return bool(torch.rand((), generator=generator(seed, "flip", position)) < 0.5)


def place_at(seed: int, position: int, attempt: int = 0) -> tuple[float, float]:
    """Where a picture is cut: uniform, 0 = left or top, 1 = right or bottom.

    Args:
        seed: the run's seed.
        position: of the sample.
        attempt: number of the draw, where the first does not serve.
    """
    across, down = torch.rand(2, generator=generator(seed, "place", position, attempt)).tolist()
    return across, down


def is_caption_dropped(seed: int, position: int, rate: float) -> bool:
    """Whether a position is trained on the empty prompt, with probability `rate`."""
    return bool(torch.rand((), generator=generator(seed, "caption", position)) < rate)


def choice_at(seed: int, position: int, count: int) -> int:
    """Which of `count` captions of a picture a position uses."""
    if count == 1:
        return 0
    return int(torch.randint(count, (), generator=generator(seed, "which caption", position)))


def posterior_at(seed: int, position: int, shape: tuple[int, ...]) -> Tensor:
    """Gaussian numbers [C, H, W] with which the latents are drawn from their moments."""
    return torch.randn(shape, generator=generator(seed, "posterior", position))


def timestep_at(seed: int, position: int, num_timesteps: int) -> int:
    """A uniform training timestep in [0, num_timesteps)."""
    return int(torch.randint(num_timesteps, (), generator=generator(seed, "timestep", position)))


def is_class_sample(position: int, share: float) -> bool:
    """Whether a position takes a class picture: evenly spread, in exactly the given share."""
    return int((position + 1) * share) > int(position * share)


def own_position(position: int, share: float) -> int:
    """How many own pictures come before this position."""
    return position - int(position * share)


def class_position(position: int, share: float) -> int:
    """How many class pictures come before this position."""
    return int(position * share)

"""Pictures of several sizes in one run: a batch is of one size, every picture is seen as often as its repeats say."""

from collections import Counter

import pytest
import torch

from scumble.data.encode import Latents, Moments
from scumble.train import draws
from scumble.train.batches import Mixture, Pool
from scumble.train.noise import Noise
from scumble.train.timesteps import Timesteps
from scumble.train.views import EncodedViews


def pool(count, size, name):
    height, width = size
    latents = [
        Latents(Moments(torch.full((4, height, width), float(i)), torch.zeros(4, height, width)), None)
        for i in range(count)
    ]
    captions = [(f"{name} {i}",) for i in range(count)]
    states = {caption: {"hidden": torch.zeros(77, 8)} for (caption,) in captions} | {"": {"hidden": torch.zeros(77, 8)}}
    return Pool(EncodedViews(latents, [{}] * count), captions, states)


def mixture(own, classes=(), share=0.0):
    return Mixture(own, classes, share, 1.0, 0.0, Noise(), Timesteps(torch.rand(1000), 0, 1000), seed=3)


SIZES = [(8, 8), (6, 10), (10, 6)]
COUNTS = [7, 2, 1]


@pytest.fixture
def own():
    return [pool(count, size, f"{size[0]}x{size[1]}") for count, size in zip(COUNTS, SIZES, strict=True)]


@pytest.mark.parametrize("batch_size", [1, 4])
def test_every_picture_is_seen_equally_often(own, batch_size):
    seen = Counter()
    mixed = mixture(own)
    for batch in range(3 * sum(COUNTS)):  # three rounds
        captions = mixed.batch_at(batch * batch_size, batch_size).captions
        assert len({caption.split()[0] for caption in captions}) == 1
        seen.update(captions)
    assert len(seen) == sum(COUNTS)
    assert set(seen.values()) == {3 * batch_size}


def test_a_batch_is_the_same_for_ever_and_has_one_size(own):
    mixed = mixture(own)
    first = [mixed.batch_at(4 * batch, 4) for batch in range(10)]
    again = [mixture(own).batch_at(4 * batch, 4) for batch in reversed(range(10))][::-1]
    for one, other in zip(first, again, strict=True):
        assert torch.equal(one.latents, other.latents)
        assert one.latents.shape[1:] in {(4, *size) for size in SIZES}
        assert one.noise.shape == one.latents.shape


def test_one_size_alone_draws_as_it_did_before_there_were_sizes(own):
    batches = [mixture(own[:1]).batch_at(4 * batch, 4) for batch in range(5)]
    places = [index for batch in batches for index in batch.latents[:, 0, 0, 0].int().tolist()]
    assert places == [draws.index_at(3, position, COUNTS[0], "own") for position in range(20)]


def test_class_pictures_take_their_share_in_every_size(own):
    classes = [pool(3, size, "class") for size in SIZES]
    mixed = mixture(own, classes, share=0.25)
    captions = [caption for batch in range(40) for caption in mixed.batch_at(4 * batch, 4).captions]
    assert sum(caption.startswith("class") for caption in captions) == len(captions) // 4

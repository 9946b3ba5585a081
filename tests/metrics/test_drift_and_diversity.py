"""How far a LoRA moves what nobody asked it about, and how far the pictures of one prompt are from each other."""

import re

import numpy as np
import pytest
import torch
from scipy.spatial.distance import pdist

from scumble.errors import MetricError
from scumble.metrics import diversity, drift
from scumble.metrics.base import Measured
from scumble.metrics.diversity import mean_pairwise
from scumble.metrics.figures import pixel_distances, seen_distances


def numbers(metric, subject):
    return {event.name: event for event in metric.measure(subject) if isinstance(event, Measured)}


def test_a_lora_of_strength_zero_has_no_drift(subject):
    found = numbers(drift, subject(weight=0.0))
    assert (found["drift"].value, found["drift_pixels"].value) == (0.0, 0.0)


def test_the_stronger_a_lora_the_more_it_drifts(subject):
    weak, strong = (numbers(drift, subject(weight)) for weight in (0.2, 1.0))
    assert 0 < weak["drift_pixels"].value < strong["drift_pixels"].value
    assert 0 < weak["drift"].value < strong["drift"].value


def test_drift_is_that_of_the_pixels_of_pictures_from_the_same_noise(subject):
    looked_at = subject()
    found = numbers(drift, looked_at)["drift_pixels"]
    pairs = zip(looked_at.other_base_pictures, looked_at.other_lora_pictures, strict=True)
    apart = [np.sqrt(np.mean((np.asarray(a, float) - np.asarray(b, float)) ** 2)) / 255 for a, b in pairs]
    assert found.value == pytest.approx(np.mean(apart), rel=1e-5)
    assert found.spread == pytest.approx(np.std(apart, ddof=1) / np.sqrt(3), rel=1e-4)


def test_pictures_that_are_all_the_same_have_no_diversity(subject):
    collapsed = numbers(diversity, subject(seeds=(7, 7, 7)))
    assert (collapsed["diversity"].value, collapsed["diversity_pixels"].value) == (0.0, 0.0)
    assert numbers(diversity, subject())["diversity_pixels"].value > 0.01


def test_diversity_is_the_mean_over_pairs_of_one_prompt():
    features = torch.randn(8, 5, generator=torch.Generator().manual_seed(0))
    for distances, name, scale in ((seen_distances, "cosine", 1.0), (pixel_distances, "euclidean", 5**0.5)):
        expected = [pdist(group, name).mean() / scale for group in features.double().split(4)]
        assert mean_pairwise(features, 4, distances).tolist() == pytest.approx(expected, rel=1e-5)


def test_one_picture_of_a_prompt_has_no_diversity_to_be_measured(subject):
    with pytest.raises(MetricError, match="--n, in a sweep"):
        list(diversity.measure(subject(seeds=(1,))))


def test_without_eyes_the_pixels_are_compared(subject):
    assert set(numbers(drift, subject(eyes=None))) == {"drift_pixels"}
    assert set(numbers(diversity, subject(eyes=None))) == {"diversity_pixels"}


def test_every_number_says_what_it_was_computed_from(subject):
    (said,) = {one.computed_from for one in numbers(drift, subject(weight=0.5, eyes=None)).values()}
    assert "3 pictures (1 prompt without the trigger, seeds 1 to 3, 32 x 32 px, Euler a, 2 steps, guidance 3)" in said
    assert re.search(r"of \S*tiny \([0-9a-f]{10}\) with ink at 0\.5 \(0123456789\)", said)

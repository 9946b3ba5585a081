"""KID and FID: torchmetrics is the peer, the formula the measure, real handwriting the sense of it."""

import sys

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm

from scumble.errors import MetricError
from scumble.families.base import pixels_to_image
from scumble.metrics.fid import fid
from scumble.metrics.judge_eyes import JudgeEyes
from scumble.metrics.kid import kid
from scumble.mini.examine import render_plain, render_style
from scumble.mini.handwriting import read_handwriting, split


def cloud(count, seed, shift=0.0, width=6):
    return torch.randn(count, width, generator=torch.Generator().manual_seed(seed)) + shift


def unbiased_mmd(x, y):
    """Binkowski et al. 2018, eq. 4, written out."""

    def kernel(a, b):
        return (a @ b.T / a.shape[1] + 1) ** 3

    n, m = len(x), len(y)
    within_x = (kernel(x, x).sum() - kernel(x, x).trace()) / (n * (n - 1))
    within_y = (kernel(y, y).sum() - kernel(y, y).trace()) / (m * (m - 1))
    return float(within_x + within_y - 2 * kernel(x, y).mean())


def test_kid_is_the_unbiased_discrepancy_of_the_sets():
    x, y = cloud(40, 0).double(), cloud(40, 1, shift=0.7).double()
    value, _ = kid(x, y)
    assert value == pytest.approx(unbiased_mmd(x, y), rel=1e-9)


def test_kid_of_sets_of_one_kind_is_about_zero_and_grows_with_a_shift():
    alike, near, far = (kid(cloud(60, 0), cloud(60, 1, shift)) for shift in (0.0, 0.3, 1.0))
    assert abs(alike[0]) < 3 * alike[1]
    assert alike[0] < near[0] < far[0]
    assert far[0] > 4 * far[1]


def test_kid_says_how_far_it_may_be_off_with_other_drawn_pictures():
    trained = cloud(24, 1000, shift=0.5)
    found = [kid(cloud(40, seed), trained) for seed in range(20)]
    between = np.std([value for value, _ in found], ddof=1)
    said = np.mean([spread for _, spread in found])
    assert 0.6 < said / between < 1.6


def test_kid_is_the_same_each_time_and_leaves_the_generator_alone():
    before = torch.random.get_rng_state()
    assert kid(cloud(20, 0), cloud(30, 1)) == kid(cloud(20, 0), cloud(30, 1))
    assert torch.equal(before, torch.random.get_rng_state())


def test_fid_is_the_distance_of_the_gaussians():
    x, y = cloud(200, 0).double(), (cloud(300, 1, shift=0.5) * 1.3).double()
    mean = ((x.mean(0) - y.mean(0)) ** 2).sum()
    of_x, of_y = np.cov(x.numpy().T), np.cov(y.numpy().T)
    expected = float(mean) + np.trace(of_x + of_y - 2 * sqrtm(of_x @ of_y).real)
    assert fid(x, y) == pytest.approx(expected, rel=1e-5)


def test_fid_of_fewer_pictures_is_larger_and_kid_is_not():
    few_fid, many_fid = (np.mean([fid(cloud(n, s), cloud(n, 99 + s)) for s in range(4)]) for n in (10, 200))
    assert few_fid > 3 * many_fid
    few_kid = np.array([kid(cloud(10, seed), cloud(10, 99 + seed))[0] for seed in range(12)])
    assert abs(few_kid.mean()) < 3 * few_kid.std(ddof=1) / np.sqrt(len(few_kid))


def test_to_the_judge_handwriting_in_another_style_is_far():
    unseen, eyes = split(read_handwriting(), "demo").of_classes(range(4)), JudgeEyes()
    plain = [pixels_to_image(2 * picture - 1) for picture in render_plain(unseen)]
    style = [pixels_to_image(2 * picture - 1) for picture in render_style(unseen)[:50]]
    seen = eyes.see(plain)
    assert seen.shape == (len(plain), 112)
    same, other = kid(seen[:50], seen[50:100]), kid(seen[:50], eyes.see(style))
    assert abs(same[0]) < 4 * same[1]
    assert other[0] > 20 * other[1]


@pytest.mark.parametrize("measured", [kid, fid])
def test_too_few_pictures_are_said_to_be(measured):
    with pytest.raises(MetricError, match=r"one training picture|1 training pictures"):
        measured(cloud(9, 0), cloud(1, 1))
    with pytest.raises(MetricError, match="draw more of each prompt"):
        measured(cloud(1, 0), cloud(9, 1))


def test_without_torchmetrics_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchmetrics.image.kid", None)
    with pytest.raises(MetricError, match=r"pip install 'scumble\[metrics\]'"):
        kid(cloud(9, 0), cloud(9, 1))

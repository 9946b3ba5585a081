"""The held-out loss in bands of timesteps, and what a rise of it is called."""

import pytest
import torch

from scumble.train.overfitting import overfitting_in_words
from scumble.train.validation import BANDS, TIMESTEPS_PER_PICTURE, Measured, band_names

TIMESTEPS = torch.tensor([62, 187, 312, 437, 562, 687, 812, 937] * 3)


def measured(losses):
    return Measured(torch.as_tensor(losses, dtype=torch.float32), TIMESTEPS, 1000)


@pytest.fixture
def best():
    return measured(torch.linspace(0.5, 0.1, 24))


def test_bands_are_equal_parts_of_the_schedule_and_average_to_the_loss():
    found = measured(TIMESTEPS / 1000)
    assert band_names(1000) == ["0-249", "250-499", "500-749", "750-999"]
    assert found.bands == pytest.approx((0.1245, 0.3745, 0.6245, 0.8745))
    assert found.loss == pytest.approx(sum(found.bands) / BANDS)
    assert TIMESTEPS_PER_PICTURE % BANDS == 0


def test_no_word_where_the_last_step_is_the_best(best):
    assert overfitting_in_words(best, best, 10, 10) is None
    assert overfitting_in_words(best, measured(best.losses - 0.01), 5, 10) is None


def test_a_rise_everywhere_is_overfitting_and_the_band_is_named(best):
    rise = torch.where(TIMESTEPS < 250, 0.02, 0.01)
    words, is_warning = overfitting_in_words(best, measured(best.losses + rise), 40, 90)
    assert is_warning
    assert words.startswith("overfitting: since step 40 the held-out loss has risen by 4.2% (0.3000 to 0.3125)")
    assert "most at timesteps 0-249" in words


def test_a_rise_within_chance_is_said_to_be_that(best):
    noise = 0.05 * torch.randn(24, generator=torch.Generator().manual_seed(0))
    words, is_warning = overfitting_in_words(best, measured(best.losses + noise - noise.mean() + 0.002), 40, 90)
    assert not is_warning
    assert "which may be chance" in words

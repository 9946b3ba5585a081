"""How many samples a validation has, which they are, and how often it comes."""

from collections import Counter

import pytest

from scumble.train.resolve import steps_between_validations
from scumble.train.validation import MOST_SAMPLES, TIMESTEPS_PER_PICTURE, chosen_timesteps, count_samples


@pytest.mark.parametrize("pictures", [1, 2, 7, 8])
def test_few_pictures_are_asked_about_at_every_timestep(pictures):
    assert chosen_timesteps(pictures) == [list(range(TIMESTEPS_PER_PICTURE))] * pictures


@pytest.mark.parametrize("pictures", [9, 10, 16, 20, 33, 50, 64])
def test_more_share_the_samples_and_meet_every_timestep_as_often(pictures):
    chosen = chosen_timesteps(pictures)
    share = MOST_SAMPLES // pictures
    assert [len(set(timesteps)) for timesteps in chosen] == [share] * pictures
    met = Counter(timestep for timesteps in chosen for timestep in timesteps)
    assert len(met) == TIMESTEPS_PER_PICTURE
    assert max(met.values()) - min(met.values()) <= share
    assert sum(met.values()) == count_samples(pictures)


@pytest.mark.parametrize("pictures", [65, 100, 1000, 12345])
def test_of_very_many_some_are_asked_that_are_spread_over_all(pictures):
    chosen = chosen_timesteps(pictures)
    asked = [index for index, timesteps in enumerate(chosen) if timesteps]
    assert len(asked) == MOST_SAMPLES == count_samples(pictures)
    assert asked[0] < pictures / MOST_SAMPLES
    assert asked[-1] >= pictures * (1 - 2 / MOST_SAMPLES)
    met = Counter(timestep for timesteps in chosen for timestep in timesteps)
    assert set(met.values()) == {MOST_SAMPLES // TIMESTEPS_PER_PICTURE}


@pytest.mark.parametrize(
    ("steps", "samples_a_step", "validated", "between"),
    [
        (400, 8, 16, 20),  # twenty times cost a thirtieth
        (2000, 1, 16, 100),
        (200, 1, 16, 50),  # a tenth would be 3.75 times
        (1500, 1, 64, 214),
        (2000, 4, 64, 100),
        (8, 1, 16, 8),
        (25, 4, 64, 10),
    ],
)
def test_validation_takes_a_tenth_of_the_work_or_comes_four_times(steps, samples_a_step, validated, between):
    assert steps_between_validations(steps, samples_a_step, validated) == between

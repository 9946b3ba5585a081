"""Learning rates by name: equal to diffusers' and torch's where these define them alike, and what differs on purpose."""

from typing import get_args

import pytest
import torch
from diffusers.optimization import get_scheduler

from scumble.config.optimizer import FALLING, Schedule
from scumble.train.schedule import Rates, usual_floor, usual_warmup

PEAK, STEPS = 3e-4, 40
WITH_WARM_UP = [name for name in get_args(Schedule) if name not in ("constant", "one_cycle")]


def theirs(name, num_steps, warmup=0, **options):
    """The rates of diffusers' scheduler."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=PEAK)
    scheduler = get_scheduler(name, optimizer, num_warmup_steps=warmup, num_training_steps=num_steps, **options)
    rates = []
    for _ in range(num_steps + 1):
        rates.append(scheduler.get_last_lr()[0])
        optimizer.step()
        scheduler.step()
    return rates


def ours(schedule, warmup=0, floor=0.0, **options):
    rates = Rates(PEAK, STEPS, schedule, warmup, floor, **options)
    return [rates.at(step) for step in range(STEPS)]


@pytest.mark.parametrize("warmup", [0, 7])
@pytest.mark.parametrize(
    ("name", "their_options", "our_options"),
    [
        ("constant_with_warmup", {}, {}),
        ("linear", {}, {}),
        ("cosine", {}, {}),
        ("cosine_with_restarts", {"num_cycles": 3}, {"cycles": 3}),
        ("polynomial", {"power": 1.0}, {"power": 1.0, "floor": 1e-7}),
        ("polynomial", {"power": 2.5}, {"power": 2.5, "floor": 1e-7}),
    ],
)
def test_diffusers_has_the_same_rates_up_to_where_a_run_begins_and_ends(name, their_options, our_options, warmup):
    # diffusers' first step of a warm-up has rate zero, and its last step is one short of the end
    expected = theirs(name, STEPS - 1, warmup, **their_options)
    found = ours(name, warmup, **our_options)
    assert found[:warmup] == pytest.approx(expected[1 : warmup + 1], rel=1e-12)
    assert found[warmup:] == pytest.approx(expected[warmup:], rel=1e-12, abs=1e-18)


def test_torch_has_the_same_one_cycle():
    for warmup in (2, 12, 30):
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=PEAK)
        scheduler = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, PEAK, total_steps=STEPS, pct_start=warmup / STEPS, cycle_momentum=False
        )
        expected = []
        for _ in range(STEPS):
            expected.append(scheduler.get_last_lr()[0])
            optimizer.step()
            if len(expected) < STEPS:
                scheduler.step()
        found = ours("one_cycle", warmup, usual_floor("one_cycle", PEAK))
        assert found == pytest.approx(expected, rel=1e-9, abs=1e-12 * PEAK)


def test_one_cycle_rises_over_three_tenths_of_a_run_as_torchs_does():
    assert usual_warmup("one_cycle", STEPS) == 12
    assert usual_warmup("cosine", STEPS) == 0


def test_rex_follows_its_papers_formula():
    for step, rate in enumerate(ours("rex")):
        z = step / (STEPS - 1)
        assert rate == pytest.approx(PEAK * (1 - z) / (1 / 2 + 1 / 2 * (1 - z)), rel=1e-12, abs=1e-18)


@pytest.mark.parametrize("name", WITH_WARM_UP)
def test_a_warm_up_rises_to_the_peak_and_never_stands_still(name):
    assert ours(name, 8)[:9] == pytest.approx([PEAK * min(1, (step + 1) / 8) for step in range(9)], rel=1e-12)


@pytest.mark.parametrize("name", FALLING)
def test_what_falls_ends_at_its_floor_at_the_last_step_and_stays_above_it(name):
    floor = usual_floor(name, PEAK)
    rates = ours(name, 5, floor)
    assert rates[-1] == pytest.approx(floor, rel=1e-12)
    assert max(rates) == pytest.approx(PEAK)
    assert min(rates) > 0.99 * floor
    assert rates[5] > rates[20] > rates[-1]


def test_a_restart_goes_back_to_the_peak():
    assert sum(rate == PEAK for rate in ours("cosine_with_restarts", cycles=3)) == 3
    assert ours("cosine_with_restarts", cycles=1) == ours("cosine")


@pytest.mark.parametrize("name", get_args(Schedule))
def test_a_run_of_one_step_has_a_rate(name):
    assert Rates(PEAK, 1, name, usual_warmup(name, 1), usual_floor(name, PEAK) or 0.0).at(0) > 0


@pytest.mark.parametrize("name", ["constant", "constant_with_warmup"])
def test_a_constant_rate_has_no_floor(name):
    assert usual_floor(name, PEAK) is None
    assert set(ours(name)) == {PEAK}


def test_a_run_that_ends_within_its_warm_up_is_told():
    """The rate never comes to its peak, and nothing falls: as good as another rate."""
    told = Rates(1e-3, 10, "constant_with_warmup", warmup_steps=40).unusual
    assert told == ("the run ends before the warm-up does, at a rate of 0.00025",)
    assert Rates(1e-3, 10, "constant_with_warmup", warmup_steps=10).unusual == ()


def test_more_cycles_than_steps_are_told():
    assert Rates(1e-3, 10, "cosine_with_restarts", cycles=20).unusual == ("more cycles than steps",)
    assert Rates(1e-3, 20, "cosine_with_restarts", cycles=20).unusual == ()

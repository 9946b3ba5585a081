"""Our samplers' numbers are those of k-diffusion and A1111, which bench/samplers.py wrote down with --golden."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from scripts import load_script
from scumble.generate.samplers import SAMPLERS
from scumble.generate.samplers.names import SCHEDULES

ROOT = Path(__file__).parents[2]
GOLDEN = json.loads((ROOT / "tests" / "golden" / "samplers.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def bench():
    return load_script(ROOT / "bench" / "samplers.py")


def test_all_samplers_and_schedules_are_held_against_something():
    held = {case.partition(", ")[0] for case in GOLDEN["latents"]}
    assert held == set(SAMPLERS) - {"DDPM"}  # which the WebUI has not: test_parity holds it against diffusers
    assert set(GOLDEN["levels"]) == set(SCHEDULES)
    assert len(GOLDEN["latents"]) == 32


@pytest.mark.parametrize("case", GOLDEN["latents"])
def test_a_sampler_computes_what_the_webui_computes(bench, case):
    name, prediction = case.split(", ")
    latents = bench.ours(name, prediction, bench.GOLDEN_STEPS)
    off = (torch.tensor(bench.shown(latents)) - torch.tensor(GOLDEN["latents"][case])).abs().max()
    assert off / latents.std() < 1e-4


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_schedule_goes_through_the_levels_of_the_webui(bench, schedule):
    sigmas = bench.planned(f"Euler {schedule}", bench.GOLDEN_STEPS).sigmas
    np.testing.assert_allclose(sigmas, GOLDEN["levels"][schedule], rtol=1e-4)

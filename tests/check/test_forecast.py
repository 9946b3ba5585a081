"""What a training would cost, foretold: the figures are those that the training has."""

import pytest

from scumble.check.forecast import forecast
from scumble.check.probe import probe
from scumble.config import TrainConfig, from_values
from scumble.train.material import prepare_material
from scumble.train.plan import make_plan


@pytest.fixture
def plan(photos, tiny_base, tmp_path):
    def make(**changes):
        values = {
            "data": {"folder": photos, "cache_dir": tmp_path / "cache", "resolution": 32, **changes.pop("data", {})},
            "model": {"base": str(tiny_base)},
            "training": {"max_train_steps": 40, "train_batch_size": 3, **changes.pop("training", {})},
            "adapter": {"rank": 2, **changes.pop("adapter", {})},
        }
        return make_plan(from_values(TrainConfig, values))

    return make


def test_batches_are_counted_by_size_with_repeats(plan):
    told = forecast(plan(), None)
    assert sum(bucket.pictures for bucket in told.buckets) == told.training == 11
    assert told.held_out == 1
    assert all(bucket.batches == -(-bucket.pictures // 3) for bucket in told.buckets)
    assert told.epochs == pytest.approx(40 * 3 / 11)
    assert told.seconds is None


@pytest.mark.parametrize("flip", [False, True])
def test_the_cache_takes_what_was_foretold(plan, tmp_path, flip):
    run = plan(data={"random_flip": flip})
    for _ in prepare_material(run, None, []):
        pass
    kept = sum(path.stat().st_size for path in (tmp_path / "cache").rglob("*.safetensors"))
    assert kept > 0
    assert forecast(run, None).cache_bytes <= kept <= 1.5 * forecast(run, None).cache_bytes + 400 * 40


@pytest.mark.slow
def test_a_probe_runs_in_a_process_of_its_own_and_tells_its_memory(plan):
    measured = probe(plan())
    assert measured.problem == ""
    assert 50e6 < measured.peak_bytes < 4e9


def test_a_probe_that_fails_says_why(plan, monkeypatch):
    monkeypatch.setattr("sys.executable", "false")
    assert probe(plan()).problem == "it ended with code 1"


def test_what_takes_too_long_is_not_measured_and_says_so(plan, monkeypatch):
    monkeypatch.setattr("scumble.check.probe.MOST_SECONDS", 0.01)
    assert "such a run will take very long here" in probe(plan()).problem
    monkeypatch.setattr("scumble.check.probe.slow_precision", lambda dtype, device: "no instructions for bf16")
    assert probe(plan()).problem == "it would take too long: no instructions for bf16"

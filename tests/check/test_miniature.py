"""A run in miniature foretells the run: what is counted is exact, what is timed adds up, and nothing stays behind."""

import pytest
from tests.thinned import thinned

from scumble.allocator import keep_freed
from scumble.check.costs import Costs, costs_of
from scumble.check.estimate import counts_of, estimate, missing_from_cache
from scumble.check.forecast import forecast
from scumble.check.miniature import FEW_STEPS, in_miniature
from scumble.check.probe import Probe, bytes_of, run_here
from scumble.cli.app import exit_code
from scumble.config import TrainConfig, from_values, merged
from scumble.train.events import Finished, Prepared, Sampled, Saved, Stepped, Validated
from scumble.train.loop import run_plan
from scumble.train.plan import make_plan


@pytest.fixture
def plan(photos, tiny_base, tmp_path):
    def make(**changes):
        values = {
            "data": {"folder": photos, "cache_dir": tmp_path / "cache", "resolution": 32},
            "model": {"base": str(tiny_base)},
            "training": {"max_train_steps": 7, "train_batch_size": 2, "device": "cpu"},
            "adapter": {"rank": 2},
            "validation": {"validation_steps": 3},
            "output": {"output_dir": tmp_path / "runs", "checkpointing_steps": 3, "report_to": "none"},
        }
        return make_plan(from_values(TrainConfig, merged(values, changes)))

    return make


SAMPLES = {"validation": {"validation_prompt": "a dog|a cat", "num_validation_images": 2, "sample_steps": 2}}


def test_a_miniature_computes_with_memory_that_is_kept_as_the_run_will(plan, tmp_path):
    small = in_miniature(plan(), tmp_path / "small")
    keep_freed.cache_clear()  # a probe is a process of its own, which has not looked for a device
    run_here(small)
    assert keep_freed.cache_info().currsize == 1


@pytest.mark.parametrize(
    "changes",
    thinned(
        [{"optimizer": {"ema_decay": 0.9}}, SAMPLES, {"data": {"random_flip": True, "center_crop": False}}], SAMPLES
    ),
)
def test_a_miniature_foretells_what_the_run_writes_and_how_often(plan, tmp_path, changes):
    run = plan(**changes)
    assert missing_from_cache(run) == (len(run.encoded), 4)
    measured = run_here(in_miniature(run, tmp_path / "small"))
    assert measured.problem == ""
    assert missing_from_cache(run) == (len(run.encoded), 4)  # the miniature has a cache of its own
    told = estimate(run, measured, 0.0)
    events = list(run_plan(run))
    saved = [event for event in events if isinstance(event, Saved)]
    counts = counts_of(run)
    assert counts.validations == sum(isinstance(event, Validated) for event in events)
    assert counts.checkpoints + 1 == sum(event.what == "checkpoint" for event in saved)
    assert counts.saves == sum(event.what == "LoRA" for event in saved) - 1
    assert bool(counts.samples) == any(isinstance(event, Sampled) for event in events)
    folder = tmp_path / "runs" / "photos"
    loras = list(folder.glob("*.safetensors"))
    assert told.loras == len(loras)
    assert all(abs(path.stat().st_size - told.lora_bytes) < 300 for path in loras)
    checkpoints = list((folder / "checkpoints").iterdir())
    assert told.checkpoints == len(checkpoints)
    assert told.checkpoint_bytes == pytest.approx(max(map(bytes_of, checkpoints)), rel=0.1)
    assert missing_from_cache(run) == (0, 0)


@pytest.mark.parametrize(
    "changes",
    [
        {"adapter": {"train_text_encoder": True}},
        {"training": {"gradient_accumulation_steps": 2}},
        {"optimizer": {"lr_scheduler": "constant_with_warmup", "lr_warmup_steps": 5}, "validation": {"patience": 1}},
        {"prior": {"class_prompt": "a dog", "num_class_images": 5}},
    ],
)
def test_every_kind_of_run_has_a_miniature(plan, tmp_path, changes):
    run = plan(**changes)
    measured = run_here(in_miniature(run, tmp_path / "small"))
    assert measured.problem == ""
    assert len(measured.costs.steps) == len(measured.areas) >= FEW_STEPS - 1
    assert min(measured.costs.steps) > 0
    assert (measured.costs.classes > 0) == ("prior" in changes)
    told = forecast(run, measured, 5.0)
    assert told.seconds > 5.0 + told.steps * told.estimate.seconds_a_step
    assert told.peak_bytes >= measured.peak_bytes


def test_where_sizes_differ_the_time_of_a_step_is_that_of_the_mean_picture(plan, photos):
    from PIL import Image

    for index in range(6):
        Image.new("RGB", (24, 24), (index * 40, 0, 0)).save(photos / f"{index:02d}.png")
    run = plan()
    small = in_miniature(run, photos)
    assert {size for _, size in small.cuts} == {(24, 24), max(size for _, size in run.cuts)}
    areas = sorted(width * height for _, (width, height) in small.cuts)
    measured = Probe(
        pictures=tuple(size for _, size in small.cuts),
        areas=(areas[0], areas[1], areas[0], areas[1], areas[1]),
        costs=Costs(steps=(1.0, 3.0, 1.0, 3.0, 99.0)),
    )
    trained = [run.cuts[index][1] for index in run.split.training]
    mean = sum(width * height for width, height in trained) / len(trained)
    expected = 1.0 + 2.0 * (mean - areas[0]) / (areas[1] - areas[0])
    assert estimate(run, measured, 0.0).seconds_a_step == pytest.approx(expected)


def test_the_parts_of_a_run_are_told_apart(tmp_path):
    timed = [
        (Prepared("latents", 1, 3), 10.0),
        (Prepared("latents", 2, 3), 12.0),
        (Prepared("latents", 3, 3), 14.0),
        (Prepared("text states", 1, 2), 19.0),
        (Prepared("text states", 2, 2), 20.0),
        (Validated(0, 1.0, True, False), 31.0),
        (Stepped(1, 4, 1.0, 1e-4, 5.0), 36.0),
        (Stepped(2, 4, 1.0, 1e-4, 2.0), 38.0),
        (Stepped(3, 4, 1.0, 1e-4, 2.0), 40.0),
        (Saved(3, tmp_path, "LoRA"), 40.5),
        (Saved(3, tmp_path, "checkpoint"), 41.25),
        (Stepped(4, 4, 1.0, 1e-4, 2.0), 43.25),
        (Validated(4, 1.0, True, False), 47.25),
        (Saved(4, tmp_path, "LoRA"), 48.0),
        (Sampled(4, tmp_path), 58.0),
        (Saved(4, tmp_path, "LoRA"), 60.0),
        (Finished(4, {}), 70.0),
    ]
    assert costs_of(timed) == Costs(
        first_latents=10.0, latents=2.0, first_text=5.0, text=1.0, start=7.0, validation=4.0, lora=0.5, checkpoint=0.75,
        samples=10.0, finish=12.0, steps=(2.0, 2.0, 2.0), total=70.0,
    )  # fmt: skip


def test_a_dry_run_tells_what_it_measured_and_leaves_nothing(photos, tiny_base, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()

    def there():  # a look at pictures older than two seconds is noted in the cache
        return sorted(path for path in tmp_path.rglob("*") if tmp_path / "cache" not in (path, *path.parents))

    before = there()
    assert exit_code(["train", str(photos), "--base", str(tiny_base), "--dry-run"]) == 0
    told = capsys.readouterr().out
    assert "What it will cost, measured" in told
    assert all(label in told for label in ("memory", "time", "disk"))
    assert "of the process at most" in told
    assert there() == before


def test_without_the_miniature_only_the_card_is_shown(photos, tiny_base, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.executable", "false")
    assert exit_code(["train", str(photos), "--base", str(tiny_base), "--dry-run", "--no-probe"]) == 0
    assert "What it will cost" not in capsys.readouterr().out
    assert exit_code(["train", str(photos), "--base", str(tiny_base), "--no-probe"]) == 2
    assert "it needs --dry-run" in capsys.readouterr().err

"""Cells really trained: each on the same budget, measured on the same samples, done once, and the same after a stop."""

import hashlib
import json

import pytest
import torch
from tests.sweep.conftest import led, set_up_now

from scumble.errors import CheckpointError
from scumble.sweep.account import Account
from scumble.sweep.job import Job
from scumble.sweep.record import read_record
from scumble.sweep.report import write_report
from scumble.sweep.setup import planned_cells
from scumble.sweep.work import do_job
from scumble.train.material import prepare_material

VARIED = {
    "cells": {"ranks": (2,), "algorithms": ("lora", "loha"), "seeds": (0, 1), "vary": ("data.random_flip: no, yes",)}
}
"""Of everything that could reach into the validation."""


def ended(steps):
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def test_every_cell_is_measured_on_the_same_samples(settings):
    setup = set_up_now(settings(VARIED))
    cells = planned_cells(setup)
    assert len(cells) == 8
    asked = [ended(prepare_material(plan, None, [])).held_out for _, plan in cells]
    assert len(asked[0]) > 0
    for batches in asked[1:]:
        for batch, first in zip(batches, asked[0], strict=True):
            assert torch.equal(batch.latents, first.latents)
            assert torch.equal(batch.noise, first.noise)
            assert torch.equal(batch.timesteps, first.timesteps)
            assert batch.captions == first.captions
    assert len({plan.split for _, plan in cells}) == 1


def test_cells_of_one_seed_see_the_same_noise_and_timesteps_in_every_step(settings):
    cells = planned_cells(set_up_now(settings({"cells": {"ranks": (2, 4), "algorithms": ("lora", "loha")}})))
    mixtures = [ended(prepare_material(plan, None, [])).mixture for _, plan in cells]
    for position in range(4):
        first, *others = [mixture.batch_at(position, 1) for mixture in mixtures]
        for batch in others:
            assert torch.equal(batch.noise, first.noise)
            assert torch.equal(batch.timesteps, first.timesteps)
            assert torch.equal(batch.latents, first.latents)


def test_a_sweep_trains_each_cell_and_tells_everything_of_it(settings, tmp_path):
    setup = set_up_now(settings({"cells": {"ranks": (2, 4), "pictures": 1, "prompts": ("a photo of sks dog",)}}))
    leader = led(setup)
    records = list(leader.records.values())
    assert [record.words for record in records] == ["rank 2", "rank 4"]
    for record in records:
        file = setup.folder.path / record.file
        assert hashlib.sha256(file.read_bytes()).hexdigest() == record.sha256
        assert record.num_bytes == file.stat().st_size
        assert (record.steps, record.pictures_a_step) == (4, 1)
        assert record.validations[0][0] == 0
        assert record.best <= record.before
        assert sum(record.losses) / len(record.losses) == pytest.approx(record.best, rel=1e-5)
        assert record.seconds > 0
        assert record.peak_bytes > 10**7
    assert records[1].trainable == 2 * records[0].trainable
    assert records[0].before == pytest.approx(records[1].before, rel=1e-6)  # both begin as the base
    advice = write_report(setup.folder, Account("s", records, 2, "4 steps", setup.drawing))
    told = json.loads(setup.folder.figures.read_bytes())
    assert (told["done"], told["recommended"]) == (2, advice.name)
    page = setup.folder.report.read_text(encoding="utf-8")
    assert all(record.sha256 in page for record in records)
    assert setup.folder.grid.exists()
    assert setup.folder.curves.exists()


def test_nothing_is_encoded_twice(settings, tmp_path):
    setup = set_up_now(settings({"cells": {"ranks": (2, 4)}}))
    first, second = (cell for cell, _ in planned_cells(setup))
    led(setup)
    said = [(cell.run.journal).read_text(encoding="utf-8") for cell in (first, second)]
    assert "from the cache" not in said[0]
    assert "latents: all 12 from the cache" in said[1]
    assert "text states: all 4 from the cache" in said[1]


def test_a_sweep_that_is_done_does_nothing_again(settings, tmp_path):
    own = settings({"cells": {"ranks": (2, 4)}})
    led(set_up_now(own))
    again = led(set_up_now(own))
    assert again.crew.jobs == []
    assert [record.is_done for record in again.records.values()] == [True, True]
    more = led(set_up_now(settings({"cells": {"ranks": (2, 4, 8)}})))
    assert [job.cell.name for job in more.crew.jobs] == ["rank-8"]


def test_a_cell_that_was_stopped_goes_on_to_the_same_file(settings, tmp_path):
    whole = settings({"cells": {"ranks": (2,)}, "output": {"checkpointing_steps": 1}})
    stopped = settings(
        {"cells": {"ranks": (2,)}, "output": {"checkpointing_steps": 1, "output_dir": tmp_path / "other"}}
    )
    (expected,) = led(set_up_now(whole)).records.values()
    setup = set_up_now(stopped)
    cell = setup.cell(setup.choice().next())
    setup.folder.path.mkdir(parents=True)
    do_job(Job(cell, setup.folder.path, setup.drawing, 1), lambda: any(cell.run.checkpoints.glob("step-*")))
    assert read_record(cell.run.path) is None
    (found,) = led(set_up_now(stopped)).records.values()
    assert "going on from step" in cell.run.journal.read_text(encoding="utf-8")
    assert found.sha256 == expected.sha256
    assert found.best_sha256 == expected.best_sha256


def test_a_cell_that_diverges_is_a_row_and_the_others_go_on(settings, tmp_path):
    setup = set_up_now(settings({"cells": {"rates": (1e-2, 1e38)}}))
    leader = led(setup)
    good, bad = leader.records.values()
    assert good.is_done
    assert (bad.state, bad.kind) == ("failed", "DivergedError")
    write_report(setup.folder, Account("s", [good, bad], 2, "4 steps", setup.drawing))
    assert bad.reason.split(":")[0] in setup.folder.report.read_text(encoding="utf-8")
    assert led(set_up_now(settings({"cells": {"rates": (1e-2, 1e38)}}))).crew.jobs == []


def test_a_cell_of_other_settings_is_refused(settings, tmp_path):
    led(set_up_now(settings({"cells": {"ranks": (2,)}})))
    with pytest.raises(CheckpointError, match=r"training\.max_train_steps was 4 and is 6"):
        led(set_up_now(settings({"cells": {"ranks": (2,)}, "training": {"max_train_steps": 6}})))
    (tmp_path / "photos" / "00.txt").write_text("another caption", encoding="utf-8")
    with pytest.raises(CheckpointError, match="pictures and captions"):
        led(set_up_now(settings({"cells": {"ranks": (2,)}})))

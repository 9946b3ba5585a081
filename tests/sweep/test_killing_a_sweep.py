"""A sweep as people start it, in processes of its own: killed as a whole, led twice at once, on a Ray cluster."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
import torch
from filelock import FileLock
from tests.sweep.conftest import led, set_up_now

from scumble.config import write_toml
from scumble.errors import CheckpointError
from scumble.sweep.room import cores, room_as_told
from scumble.sweep.run import sweep

pytestmark = pytest.mark.slow

STEPS = 60
"""Far more than are done before the kill; the sweep that is compared with does them all, in seconds."""


@pytest.fixture
def whole_threads():
    """As many threads for this process as it had before."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture
def two_cells(settings, tmp_path):
    """Settings of two cells at once, with their runs in a folder of the test."""

    def build(name, *changes):
        own = {
            "cells": {"ranks": (2, 4), "workers": 2},
            "numbers": {"metric_pictures": 0},
            "training": {"max_train_steps": STEPS},
            "validation": {"validation_steps": STEPS},
            "output": {"checkpointing_steps": 5, "output_dir": tmp_path / name},
        }
        return settings(own, *changes)

    return build


def started(config, place):
    """A process that leads a sweep, by the command line."""
    place.write_text(write_toml(config), encoding="utf-8")
    command = [sys.executable, "-m", "scumble", "sweep", "--config", str(place)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def hashes(folder):
    told = json.loads((folder / "photos-sweep" / "report.json").read_bytes())
    return {record["name"]: (record["sha256"], record["best_sha256"]) for record in told["records"]}


def wait_until(is_so, lead):
    give_up = time.monotonic() + 300
    while not is_so():
        assert lead.poll() is None, "the sweep ended before it was killed"
        assert time.monotonic() < give_up
        time.sleep(0.02)


def test_a_sweep_killed_with_all_its_processes_ends_in_the_same_files(two_cells, tmp_path, whole_threads):
    whole = led(set_up_now(two_cells("whole")), room_as_told(2, 2, cores(), 0).threads)
    config, folder = two_cells("killed"), tmp_path / "killed"
    lead = started(config, tmp_path / "sweep.toml")
    wait_until(lambda: any(folder.glob("photos-sweep/photos-rank-4/checkpoints/step-*")), lead)
    with pytest.raises(CheckpointError, match="in use by another process"):
        list(sweep(config))
    children = subprocess.run(["pgrep", "-P", str(lead.pid)], capture_output=True, text=True, check=False).stdout
    for number in [lead.pid, *map(int, children.split())]:
        os.kill(number, signal.SIGKILL)
    lead.wait()
    list(sweep(config))
    expected = {record.name: (record.sha256, record.best_sha256) for record in whole.records.values()}
    assert hashes(folder) == expected
    said = [event.text for event in sweep(config) if hasattr(event, "text")]
    assert [text for text in said if "done before" in text] == ["rank 2: done before", "rank 4: done before"]


def test_processes_whose_leader_was_killed_save_and_end(two_cells, tmp_path):
    lead = started(two_cells("runs", {"cells": {"ranks": (2,), "workers": 1}}), tmp_path / "sweep.toml")
    run_folder = tmp_path / "runs" / "photos-sweep" / "photos-rank-2"
    journal = run_folder / "events.jsonl"
    wait_until(lambda: journal.exists() and '"stepped"' in journal.read_text(encoding="utf-8"), lead)
    lead.kill()
    lead.wait()
    with FileLock(run_folder / ".lock", timeout=300):
        assert any((run_folder / "checkpoints").iterdir())


def test_a_ray_cluster_makes_the_same_files(two_cells, tmp_path, whole_threads):
    pytest.importorskip("ray")
    few = {"training": {"max_train_steps": 4}, "validation": {"validation_steps": 4}}
    here = led(set_up_now(two_cells("here", few)), room_as_told(2, 2, cores(), 0).threads)
    list(sweep(two_cells("on-ray", few, {"cells": {"engine": "ray"}})))
    expected = {record.name: (record.sha256, record.best_sha256) for record in here.records.values()}
    assert hashes(tmp_path / "on-ray") == expected

"""A sweep as people start it, in processes of its own: killed as a whole, led twice at once, on a Ray cluster."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from filelock import FileLock
from tests.sweep.conftest import led, set_up_now

pytestmark = pytest.mark.slow


def command(base, photos, runs, *more):
    return [
        sys.executable, "-m", "scumble", "sweep", str(photos), "--base", str(base), "--ranks", "2", "4",
        "--learning-rate", "1e-2", "--max-train-steps", "40", "--checkpointing-steps", "5", "--output-dir", str(runs),
        "--cache-dir", str(runs / "cache"), "--report-to", "none", "--pictures", "0", "--device", "cpu",
        "--validation-steps", "10", "--workers", "2", *more,
    ]  # fmt: skip


def hashes(runs):
    told = json.loads((runs / "photos-sweep" / "report.json").read_bytes())
    return {record["name"]: (record["sha256"], record["best_sha256"]) for record in told["records"]}


def run(arguments):
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def wait_until(is_so):
    give_up = time.monotonic() + 300
    while not is_so():
        assert time.monotonic() < give_up
        time.sleep(0.02)


def test_a_sweep_killed_with_all_its_processes_ends_in_the_same_files(tiny_base, photos, tmp_path):
    run(command(tiny_base, photos, tmp_path / "whole"))
    arguments = command(tiny_base, photos, tmp_path / "killed")
    lead = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    folder = tmp_path / "killed" / "photos-sweep"
    wait_until(lambda: any(folder.glob("photos-rank-4/checkpoints/step-*")) or lead.poll() is not None)
    second = subprocess.run(arguments, capture_output=True, text=True, timeout=300, check=False)
    children = subprocess.run(
        ["pgrep", "-P", str(lead.pid)], capture_output=True, text=True, check=False
    ).stdout.split()
    for number in [lead.pid, *map(int, children)]:
        os.kill(number, signal.SIGKILL)
    lead.wait()
    assert "in use by another process" in second.stderr
    run(arguments)
    assert hashes(tmp_path / "killed") == hashes(tmp_path / "whole")
    again = run(arguments)
    assert again.count("done before") == 2


def test_processes_whose_leader_was_killed_save_and_end(tiny_base, photos, tmp_path):
    lead = subprocess.Popen(command(tiny_base, photos, tmp_path), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    run_folder = tmp_path / "photos-sweep" / "photos-rank-2"
    journal = run_folder / "events.jsonl"
    wait_until(lambda: journal.exists() and '"stepped"' in journal.read_text(encoding="utf-8"))
    lead.kill()
    lead.wait()
    with FileLock(run_folder / ".lock", timeout=300):
        assert any((run_folder / "checkpoints").iterdir())


def test_a_ray_cluster_makes_the_same_files(settings, tmp_path):
    pytest.importorskip("ray")
    from scumble.sweep.run import sweep

    here = led(set_up_now(settings({"cells": {"ranks": (2, 4)}})))
    own = {"cells": {"ranks": (2, 4), "engine": "ray", "workers": 2}, "output": {"output_dir": tmp_path / "on-ray"}}
    list(sweep(settings(own)))
    told = json.loads((tmp_path / "on-ray" / "photos-sweep" / "report.json").read_bytes())
    assert [record["sha256"] for record in told["records"]] == [record.sha256 for record in here.records.values()]

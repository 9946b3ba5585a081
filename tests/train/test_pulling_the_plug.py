"""SIGKILL at random moments, resume, and the file is the one of an uninterrupted run, to the bit."""

import hashlib
import random
import subprocess
import sys
import time

import pytest

STEPS = 40


def command(base, photos, runs, name, *more):
    return [
        sys.executable, "-m", "scumble", "train", str(photos), "--base", str(base), "--rank", "4", "--alpha", "3",
        "--learning-rate", "1e-2", "--max-train-steps", str(STEPS), "--checkpointing-steps", "5", "--random-flip",
        "--train-batch-size", "2", "--output-dir", str(runs), "--cache-dir", str(runs / "cache"), "--name", name,
        "--report-to", "none", "--validation-steps", "7", *more,
    ]  # fmt: skip


def file_hash(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def committed_steps(run):
    return {path.name for path in (run / "checkpoints").glob("step-*")} if run.exists() else set()


def wait_for_progress(process, run, moment):
    """Let the process run until it has written something new, and then until a random moment after that."""
    before = committed_steps(run)
    give_up = time.monotonic() + 120
    while process.poll() is None and committed_steps(run) == before and time.monotonic() < give_up:
        time.sleep(0.01)
    time.sleep(moment)


def kill_and_resume(tiny_base, photos, tmp_path, kills, seed):
    plain = command(tiny_base, photos, tmp_path, "plain")
    subprocess.run(plain, check=True, capture_output=True, timeout=300)
    chance = random.Random(seed)
    killed = 0
    while killed < kills:
        process = subprocess.Popen(
            command(tiny_base, photos, tmp_path, "killed", "--resume"), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        wait_for_progress(process, tmp_path / "killed", chance.uniform(0, 0.6))
        if process.poll() is not None:
            assert process.returncode == 0, process.stdout.read().decode()
            break
        process.kill()
        process.wait()
        killed += 1
    finish = command(tiny_base, photos, tmp_path, "killed", "--resume")
    subprocess.run(finish, check=True, capture_output=True, timeout=300)
    assert killed > 0
    for name in ("{}.safetensors", "{}-best.safetensors"):
        whole, resumed = (tmp_path / run / name.format(run) for run in ("plain", "killed"))
        assert same_tensors(whole, resumed)
    return killed


def same_tensors(a, b):
    """The files differ in the run's name in their metadata alone: the tensors' bytes must be equal."""
    return tensor_bytes(a) == tensor_bytes(b)


def tensor_bytes(path):
    content = path.read_bytes()
    return hashlib.sha256(content[8 + int.from_bytes(content[:8], "little") :]).hexdigest()


@pytest.mark.slow
def test_ten_kills_at_random_moments_change_nothing(tiny_base, photos, tmp_path):
    """Each run writes eight checkpoints, so that ten kills need two runs."""
    total, round_number = 0, 0
    while total < 10:
        place = tmp_path / str(round_number)
        place.mkdir()
        total += kill_and_resume(tiny_base, photos, place, kills=10 - total, seed=round_number)
        round_number += 1

"""Pulling the plug: a run is killed at every write point and at random moments, resumed, and must end with the same bytes.

1. Write points: every call with which the run changes the disk (fsync, rename, mkdir, unlink ...) is counted; for each
   number a process ends there, at once, before the call. What was a checkpoint must still be one. The next process goes on.
2. Random moments: processes get SIGKILL, one after the other goes on, until the run is at its end; then the next run.

    python bench/faults.py --work FOLDER [--kills 100] [--every 1]

What is done is kept in the folder, so that the same command goes on where it was stopped. Needs POSIX (fork). Results go to
bench/results/.
"""

import argparse
import hashlib
import importlib
import os
import random
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from harness.kept import Kept
from harness.peers import versions
from harness.result import Goal, Result
from PIL import Image

ROOT = Path(__file__).parents[1]
WRITE_POINTS = ("fsync", "rename", "replace", "mkdir", "unlink", "rmdir")
KILLED = 137
STEPS = 30
RESULTS = ("r.safetensors", "r-best.safetensors", "history.json")


NEEDED = (
    "diffusers.loaders",
    "diffusers.models.autoencoders.autoencoder_kl",
    "diffusers.models.unets.unet_2d_condition",
    "diffusers.schedulers.scheduling_ddpm",
    "matplotlib.backends.backend_agg",
    "scumble.train.loop",
    "transformers.models.clip.modeling_clip",
)
"""What a run imports late; imported before the forks, or each of the hundreds of processes would for itself."""


def settings(base: Path, photos: Path, out: Path, steps: int = 6, resume: bool = True) -> object:
    """A short run that writes much: a checkpoint and a LoRA every other step."""
    from scumble.config import TrainConfig, from_values

    return from_values(
        TrainConfig,
        {
            "model": {"base": str(base)},
            "data": {"folder": photos, "random_flip": True, "cache_dir": out / "cache"},
            "adapter": {"rank": 4, "dropout": 0.1},
            "optimizer": {"learning_rate": 1e-2},
            "training": {"max_train_steps": steps, "train_batch_size": 2, "device": "cpu"},
            "validation": {"validation_steps": 3},
            "output": {
                "output_dir": out, "name": "r", "report_to": "none", "checkpointing_steps": 2, "resume": resume,
            },
        },
    )  # fmt: skip


@contextmanager
def counted(before: Callable[[int], None]) -> Iterator[None]:
    """Call `before` with a number, from 1, before every change of the disk."""
    originals = {name: getattr(os, name) for name in WRITE_POINTS}
    calls = iter(range(1, 1_000_000))

    def wrap(call: Callable[..., object]) -> Callable[..., object]:
        def wrapped(*arguments: object, **named: object) -> object:
            before(next(calls))
            return call(*arguments, **named)

        return wrapped

    for name, call in originals.items():
        setattr(os, name, wrap(call))
    try:
        yield
    finally:
        for name, call in originals.items():
            setattr(os, name, call)


def run_in_child(config: object, die_at: int | None, log: Path, kill_after: float | None = None) -> int:
    """Train in a forked process that may end before its time; its exit code, -9 where it was killed.

    Args:
        config: of the run.
        die_at: number of the write point at which it ends; None = at none.
        log: gets the steps of the checkpoints that were reported as saved, and at the end the number of write points.
        kill_after: seconds until it gets SIGKILL; None = never.
    """
    log.write_text("")  # a child that is killed at once leaves no older run's numbers
    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = _train(config, die_at, log)
        except BaseException:  # noqa: BLE001
            traceback.print_exc()  # a forked process may not go on in the caller's place
        finally:
            os._exit(code)
    if kill_after is not None:
        time.sleep(kill_after)
        os.kill(child, signal.SIGKILL)  # it is not waited for yet: its number is still its own
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _train(config: object, die_at: int | None, log: Path) -> int:
    from scumble.train.events import Saved
    from scumble.train.loop import train

    number = 0

    def before(count: int) -> None:
        nonlocal number
        number = count
        if count == die_at:
            os._exit(KILLED)

    with log.open("w") as saved, counted(before):
        for event in train(config):  # type: ignore[arg-type]
            if isinstance(event, Saved) and event.what == "checkpoint":
                saved.write(f"{event.step}\n")
                saved.flush()
    log.write_text(str(number))
    return 0


def hashes(out: Path) -> dict[str, str]:
    """Of what a run leaves."""
    return {name: hashlib.sha256((out / "r" / name).read_bytes()).hexdigest() for name in RESULTS}


def kill_at_write_points(base: Path, photos: Path, work: Path, every: int) -> dict[str, int]:
    """A process for each write point, and one that goes on after it.

    Raises:
        AssertionError: a checkpoint was lost, or the end is another.
    """
    from scumble.train.checkpoint import read_newest_checkpoint

    work.mkdir(exist_ok=True)
    log, whole = work / "log", work / "whole"
    for left in (whole, *work.glob("point-*")):
        shutil.rmtree(left, ignore_errors=True)
    assert run_in_child(settings(base, photos, whole), None, log) == 0
    points, expected = int(log.read_text()), hashes(whole)
    tried, kept = range(1, points + 1, every), Kept(work / "points.jsonl")
    done = {row["point"] for row in kept.rows}
    for point in (point for point in tried if point not in done):
        out = work / f"point-{point}"
        assert run_in_child(settings(base, photos, out), point, log) == KILLED, point
        saved = [int(line) for line in log.read_text().split()]
        newest = read_newest_checkpoint(out / "r" / "checkpoints")
        assert not saved or (newest is not None and newest.step >= saved[-1] and not newest.damaged), point
        assert run_in_child(settings(base, photos, out), None, log) == 0, point
        assert hashes(out) == expected, f"killed at write point {point}: another result"
        shutil.rmtree(out)
        kept.add({"point": point})
    return {"write_points": points, "kills": len(tried), "checkpoints_lost": 0, "results_that_differ": 0}


def kill_at_random(base: Path, photos: Path, work: Path, kills: int, seed: int) -> dict[str, Any]:
    """SIGKILL at random moments of processes, over as many runs as it takes.

    Raises:
        AssertionError: a checkpoint was lost, a process failed by itself, or the end is another.
    """
    from scumble.train.checkpoint import read_newest_checkpoint

    work.mkdir(exist_ok=True)
    log, whole = work / "log", work / "uninterrupted"
    for left in (whole, *work.glob("random-*")):
        shutil.rmtree(left, ignore_errors=True)
    started = time.monotonic()
    assert run_in_child(settings(base, photos, whole, STEPS), None, log) == 0
    lasted, expected = time.monotonic() - started, hashes(whole)
    kept = Kept(work / "random.jsonl")
    while (killed := sum(row["kills"] for row in kept.rows)) < kills:
        runs, before, in_steps = len(kept.rows), killed, 0
        chance, out, step, code = random.Random(f"{seed} {runs}"), work / f"random-{runs}", 0, -9
        while code == -9:
            after = chance.uniform(0, lasted) if killed < kills else None
            code = run_in_child(settings(base, photos, out, STEPS), None, log, after)
            killed += code == -9
            found = read_newest_checkpoint(out / "r" / "checkpoints")
            saved = [int(line) for line in log.read_text().split()] if code == -9 else [STEPS]
            least = max([step, *saved])
            assert least == 0 or (found is not None and found.step >= least and not found.damaged), (runs, killed)
            in_steps += code == -9 and found is not None and found.step > step
            step = found.step if found is not None else 0
        assert code == 0, code
        assert hashes(out) == expected, f"run {runs}: another result"
        shutil.rmtree(out)
        kept.add({"kills": killed - before, "in_steps": in_steps})
        print(f"{killed} kills, {runs + 1} runs")
    in_steps = sum(row["in_steps"] for row in kept.rows)
    return {
        "kills": killed, "runs": len(kept.rows), "kills_after_a_new_checkpoint": in_steps, "seconds_of_a_whole_run": round(lasted, 1),
        "checkpoints_lost": 0, "results_that_differ": 0,
    }  # fmt: skip


def write_photos(folder: Path) -> Path:
    """Twelve pictures with captions."""
    folder.mkdir(parents=True)
    chance = np.random.default_rng(7)
    for index in range(12):
        Image.fromarray(chance.integers(0, 256, (40, 48, 3), np.uint8)).save(folder / f"{index:02d}.png")
        (folder / f"{index:02d}.txt").write_text(f"a photo of sks dog, number {index % 3}", encoding="utf-8")
    return folder


def main() -> None:
    """Run both, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder for the runs, and for what is done")
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--every", type=int, default=1, help="kill at every n-th write point only")
    given = parser.parse_args()
    sys.path.insert(0, str(ROOT / "tests"))
    from bases import write_base  # the tests' tiny base: real classes, random weights

    photos, base = given.work / "photos", given.work / "tiny"
    if not (base / "model_index.json").exists():
        write_photos(photos)
        write_base(base, channels=(32, 32), layers_per_block=1, cross_attention_dim=32, sample_size=4, seed=0)
    torch.set_num_threads(1)
    for name in NEEDED:
        importlib.import_module(name)
    started = time.monotonic()
    found = {
        "at_write_points": kill_at_write_points(base, photos, given.work, given.every),
        "at_random_moments": kill_at_random(base, photos, given.work, given.kills, seed=0),
    }
    lost = sum(each["checkpoints_lost"] + each["results_that_differ"] for each in found.values())
    minutes = (time.monotonic() - started) / 60
    Result(
        "faults",
        "Does a run that is killed end with the same bytes?",
        [{"killed": name.replace("_", " "), **each} for name, each in found.items()],
        goals=[Goal("checkpoints lost and results that differ", 0, lost)],
        versions=versions("torch", "diffusers"),
        notes=[f"the last go took {minutes:.0f} minutes; what earlier ones had done was kept"],
    ).write()


if __name__ == "__main__":
    main()

"""A planned run in miniature, really run to its end in a process of its own: what each part takes, and the most memory.

`python -m scumble.check.probe` reads a pickled plan from its parent and prints one line of JSON.
"""

import json
import os
import pickle
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from time import monotonic

import psutil
import torch

from scumble.check.costs import Costs, Timed, costs_of
from scumble.check.miniature import in_miniature
from scumble.data.buckets import Size
from scumble.device import slow_precision, take_device
from scumble.errors import ScumbleError
from scumble.train import draws
from scumble.train.loop import folder_of, run_plan
from scumble.train.plan import Plan
from scumble.train.surroundings import peak_memory

MEASURING = "a run in miniature is made of it, in a process of its own, to measure it"

MOST_SECONDS = 600
"""Of a miniature; it takes two steps and two validations."""


@dataclass(frozen=True)
class Probe:
    """What the miniature of a run said.

    Attributes:
        peak_bytes: on a GPU what tensors took at most, elsewhere the whole process.
        start_bytes: of the process when its run began.
        size: of its largest pictures, in pixels.
        pictures: the sizes of the pictures it ran on, in pixels.
        costs: of its parts.
        areas: of each timed step, the pixels of one of its pictures, on average.
        lora_bytes: of a LoRA.
        checkpoint_bytes: of a checkpoint.
        startup_seconds: of the process, before its run began and after it ended.
        problem: why there are no figures; "" = there are.
    """

    peak_bytes: int = 0
    start_bytes: int = 0
    size: Size = (0, 0)
    pictures: tuple[Size, ...] = ()
    costs: Costs = field(default_factory=Costs)
    areas: tuple[float, ...] = ()
    lora_bytes: int = 0
    checkpoint_bytes: int = 0
    startup_seconds: float = 0.0
    problem: str = ""


def probe(plan: Plan, threads: int | None = None) -> Probe:
    """Run a plan in miniature, in a fresh process; what it writes is removed.

    Args:
        plan: the run.
        threads: that compute; None = as many as usual.
    """
    slow = slow_precision(plan.dtype, plan.device)
    if slow is not None:
        return Probe(problem=f"it would take too long: {slow}")
    own = {} if threads is None else {"OMP_NUM_THREADS": str(threads)}
    with tempfile.TemporaryDirectory(prefix="scumble-probe-", ignore_cleanup_errors=True) as folder:
        small = in_miniature(plan, Path(folder))
        started = monotonic()
        try:
            done = subprocess.run(
                [sys.executable, "-m", "scumble.check.probe"],
                input=pickle.dumps(small),
                capture_output=True,
                check=False,
                env={**os.environ, **own},
                timeout=MOST_SECONDS,
            )
        except subprocess.TimeoutExpired:
            return Probe(
                problem=f"it had not ended after {MOST_SECONDS // 60} minutes: such a run will take very long here"
            )
        seconds = monotonic() - started
    lines = done.stdout.decode("utf-8", "replace").splitlines()
    if done.returncode == 0 and lines:
        said = from_json(lines[-1])
        return replace(said, startup_seconds=max(0.0, seconds - said.costs.total))
    if done.returncode < 0:
        return Probe(problem=f"the system ended it by signal {-done.returncode}: likely not enough memory")
    words = done.stderr.decode("utf-8", "replace").strip().splitlines()
    return Probe(problem=words[-1] if words else f"it ended with code {done.returncode}")


def run_here(plan: Plan) -> Probe:
    """Run a miniature to its end in this process.

    Args:
        plan: what `in_miniature` made.
    """
    take_device(str(plan.device))  # another process found it
    if plan.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(plan.device)
    plan.base.empty_denoiser()  # imports what a run has imported when it was planned
    size = max((size for _, size in plan.cuts), key=lambda size: size[0] * size[1])
    start_bytes = resident_bytes()
    started, timed = monotonic(), list[Timed]()
    try:
        timed.extend((event, monotonic() - started) for event in run_plan(plan))
    except ScumbleError as error:
        return Probe(size=size, problem=str(error))
    run = folder_of(plan)
    return Probe(
        peak_bytes=peak_memory(plan.device),
        start_bytes=start_bytes,
        size=size,
        pictures=tuple(size for _, size in plan.cuts),
        costs=costs_of(timed),
        areas=tuple(_areas(plan)),
        lora_bytes=bytes_of(run.lora),
        checkpoint_bytes=max(bytes_of(path) for path in run.checkpoints.iterdir()),
    )


def resident_bytes() -> int:
    """What this process has in memory now."""
    return int(psutil.Process().memory_info().rss)


def bytes_of(place: Path) -> int:
    """Of a file, or of all files in a folder."""
    files = place.rglob("*") if place.is_dir() else [place]
    return sum(file.stat().st_size for file in files if file.is_file())


def _areas(plan: Plan) -> list[float]:
    """Of each step but the first, the pixels of one of its pictures, on average."""
    sizes = sorted({size for _, size in plan.cuts})
    counts = tuple(sum(size == each for _, size in plan.cuts) for each in sizes)
    seed, accumulation = plan.config.training.seed, plan.config.training.batches_a_step
    areas = []
    for step in range(1, plan.num_steps):
        chosen = [sizes[draws.bucket_at(seed, step * accumulation + micro, counts)[0]] for micro in range(accumulation)]
        areas.append(sum(width * height for width, height in chosen) / accumulation)
    return areas


def from_json(line: str) -> Probe:
    """What `main` printed."""
    values = json.loads(line)
    costs = values.pop("costs")
    return Probe(
        **{
            **values,
            "size": tuple(values["size"]),
            "pictures": tuple(map(tuple, values["pictures"])),
            "areas": tuple(values["areas"]),
            "costs": Costs(**{**costs, "steps": tuple(costs["steps"])}),
        }
    )


def main() -> None:
    """Read a plan, run it, print what it said."""
    plan: Plan = pickle.load(sys.stdin.buffer)
    sys.stdout.write(json.dumps(asdict(run_here(plan))) + "\n")


if __name__ == "__main__":
    main()

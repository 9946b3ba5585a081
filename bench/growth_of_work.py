"""How time and memory grow with pictures, merged LoRAs, sweep cells and processes, each a whole command on the model in the box.

    python bench/growth_of_work.py --work FOLDER [--axis pictures merge cells processes]

Each point is a command from its start to its end. An exponent is fitted to what is above the smallest size: the work that was
added over the size that was added, so that the time to start has no part in it. 1 is linear.
"""

import argparse
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from harness.command import run_bench
from harness.growth import Fit, exponent
from harness.peers import versions
from harness.pictures import write_pictures
from harness.plot import curves
from harness.processes import Spent, measured
from harness.result import Goal, Result

SCUMBLE = (sys.executable, "-m", "scumble")
FEW = ("--base", "mini", "--resolution", "64", "--rank", "4", "--report-to", "none", "--overwrite")
LINEAR, SPREAD = 1.0, 0.1
FLAT = 1.05
"""What grows less than that over all sizes has no exponent that means anything."""


@dataclass(frozen=True)
class Axis:
    """What grows.

    Attributes:
        what: in words.
        unit: what is counted.
        sizes: from few to many.
        command: for a size, in a work folder.
        notes: what a reader must know of it besides.
    """

    what: str
    unit: str
    sizes: Sequence[int]
    command: Callable[[Path, int], list[str]]
    notes: tuple[str, ...] = ()


def train(work: Path, pictures: int) -> list[str]:
    """Two steps on so many pictures, none of them in the cache."""
    shutil.rmtree(work / "cache", ignore_errors=True)
    folder = write_pictures(work / f"pictures-{pictures}", pictures, 96, "jpg")
    return [*SCUMBLE, "train", str(folder), *FEW, "--steps", "2", *_places(work, "grown")]


def merge(work: Path, count: int) -> list[str]:
    """Add up so many LoRAs exactly."""
    source = work / "runs" / "grown" / "grown.safetensors"
    if not source.exists():
        measured(train(work, 1))
    files = [work / f"lora-{index:03d}.safetensors" for index in range(count)]
    for file in files:
        shutil.copy(source, file)
    return [
        *SCUMBLE,
        "merge",
        *map(str, files),
        "--base",
        "mini",
        "--out",
        str(work / "merged.safetensors"),
        "--overwrite",
    ]


def sweep(work: Path, cells: int) -> list[str]:
    """Train so many cells, two steps each, one after another, none of their pictures in the cache."""
    shutil.rmtree(work / "cache", ignore_errors=True)
    folder = write_pictures(work / "pictures-8", 8, 96, "jpg")
    ranks = [str(4 + index) for index in range(cells)]
    few = [word for word in FEW if word not in ("--rank", "4")]
    choice = ["--ranks", *ranks, "--pictures", "0", "--workers", "1"]
    return [*SCUMBLE, "sweep", str(folder), *few, "--steps", "2", *choice, *_places(work, f"cells-{cells}")]


def processes(work: Path, count: int) -> list[str]:
    """Two hundred steps of four pictures, shared, none of them in the cache."""
    shutil.rmtree(work / "cache", ignore_errors=True)
    folder = write_pictures(work / "pictures-8", 8, 96, "jpg")
    start = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(count), "-m", "scumble"]
    whole = ["--steps", "200", "--batch-size", "2", "--gradient-accumulation-steps", str(2 // count), "--device", "cpu"]
    return [*start, "train", str(folder), *FEW, *whole, *_places(work, f"shared-{count}")]


def _places(work: Path, name: str) -> list[str]:
    return ["--output-dir", str(work / "runs"), "--name", name, "--cache-dir", str(work / "cache")]


OF_A_CELL = (
    "A cell of two steps is three fifths start, loading, two validations, curves and proof, and two fifths the numbers that a "
    "sweep measures of drawn pictures; neither grows with its steps."
)

AXES = {
    "pictures": Axis("the pictures that two steps learn from", "pictures", (1, 64, 256, 1024), train),
    "merge": Axis("the LoRAs that are merged", "LoRAs", (2, 32, 128, 512), merge),
    "cells": Axis("the cells of a sweep, two steps each", "cells", (1, 2, 4, 8), sweep, (OF_A_CELL,)),
    "processes": Axis("the processes that share the steps, on one machine", "processes", (1, 2), processes),
}


def added(points: Sequence[tuple[int, float]]) -> Fit | None:
    """The exponent of what is above the smallest size; None where there is too little to fit."""
    (first, least), *others = points
    if max(value for _, value in points) <= FLAT * least:
        return None
    above = [(size - first, value - least) for size, value in others if value > least]
    return exponent(above) if len(above) > 1 else None


def goals_of(name: str, axis: Axis, spent: Sequence[Spent]) -> list[Goal]:
    """Time that is linear; of processes, no more work for two than for one but for the second start."""
    used = [each.processor_seconds for each in spent]
    if name == "processes":
        why = "the second process imports and loads everything once more, which a run of so few steps is mostly made of"
        clock = [each.seconds for each in spent]
        return [
            Goal("processor time of two processes by that of one", 2.0, used[1] / used[0], why=why),
            Goal("seconds of two processes by those of one", 1.0, clock[1] / clock[0], SPREAD, why=why),
        ]
    fit = added(list(zip(axis.sizes, used, strict=True)))
    why = "" if fit else "nothing was added that could be told from the spread"
    shown = None if fit is None else fit.exponent
    return [Goal(f"exponent of added processor time over {axis.unit}", LINEAR, shown, SPREAD, why=why)]


def _of_memory(fit: Fit | None, pairs: Sequence[tuple[int, Spent]]) -> str:
    """What is to be said of it."""
    if fit is not None:
        return f"exponent of what is added {fit}"
    first, last = pairs[0][1].peak_gb, pairs[-1][1].peak_gb
    return "flat" if last <= FLAT * first else f"{last / first:.2g} times, of sizes that are too few for an exponent"


def measure(name: str, axis: Axis, work: Path) -> None:
    """Measure one axis, write its result."""
    spent = [measured(axis.command(work, size), {"OMP_NUM_THREADS": "1"}) for size in axis.sizes]
    pairs = list(zip(axis.sizes, spent, strict=True))
    rows = [
        {
            axis.unit: size,
            "seconds": each.seconds,
            "processor seconds": each.processor_seconds,
            "peak, GB": each.peak_gb,
        }
        for size, each in pairs
    ]
    memory = added([(size, each.peak_gb) for size, each in pairs])
    panels = {
        "processor seconds": {"a whole command": [(size, each.processor_seconds) for size, each in pairs]},
        "peak memory, GB": {"a whole command": [(size, each.peak_gb) for size, each in pairs]},
    }
    curves(f"growth-{name}", f"On the model in the box, over {axis.what}", axis.unit, panels)
    Result(
        f"growth-{name}",
        f"How do time and memory grow with {axis.what}?",
        rows,
        goals_of(name, axis, spent),
        notes=[
            "Every point includes the start of a process, about the same for all; exponents are of what is added to it.",
            f"Memory: {_of_memory(memory, pairs)}.",
            *axis.notes,
        ],
        versions=versions("torch", "diffusers"),
        threads=1,
    ).write()


def main() -> None:
    """Measure, write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--axis", choices=list(AXES), nargs="+", default=list(AXES))
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    for name in options.axis:
        measure(name, AXES[name], options.work)


if __name__ == "__main__":
    run_bench(main)

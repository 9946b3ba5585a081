"""How do the time and the memory of a training step grow with what is asked of it?

    python bench/growth.py [--rounds 5] [--questions batch pixels rank layers]

Steps of scumble on the model in the box, in one process, the sizes of a question in turns. Of each curve the exponent is
fitted on logarithmic axes: 1 is linear. What does not grow with the size is measured apart and taken off first: of rank
and layers that is the frozen model's own step. Results go to bench/results/.
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from harness.command import run_bench
from harness.growth import Point, above, exponent
from harness.kernels import held
from harness.peers import versions
from harness.plot import curves
from harness.result import Goal, Result
from harness.turns import in_digits, in_turns, spread
from sides.ours import ours
from sides.plain import without
from sides.side import Side
from sides.task import Task, batch_of, open_task

LINEAR, SLACK = 1.0, 0.05
"""An exponent above the first grows faster than its work; the second is what a fit over a few sizes may be off."""
LAST = 0.1
"""What an exponent between two sizes may be off."""


@dataclass(frozen=True)
class Growth:
    """One question.

    Attributes:
        over: what grows, with its unit.
        sizes: that are measured.
        side: makes the step of a size.
        constant: makes the step without what grows; None = nothing is taken off.
        why: what the exponents should be, and why.
    """

    over: str
    sizes: Sequence[int]
    side: Callable[[int], Side]
    constant: Callable[[], Side] | None
    why: str


def questions(task: Task) -> dict[str, Growth]:
    """All of them by name."""
    return {
        "batch": Growth(
            "pictures of a batch",
            (2, 4, 8, 16, 32),
            lambda size: ours(replace(task, batch=batch_of(task.base, 64, size))),
            None,
            "linear; below it as long as starting the kernels takes a share of a step",
        ),
        "pixels": Growth(
            "pixels of a picture",
            (64**2, 96**2, 128**2, 192**2, 256**2),
            lambda size: ours(replace(task, batch=batch_of(task.base, round(size**0.5), 1))),
            None,
            "convolutions are linear in the pixels; the time of attention is quadratic, its memory linear, since no "
            "implementation in use writes its matrix down",
        ),
        "rank": Growth(
            "rank",
            (16, 32, 64, 128, 256),
            lambda size: ours(replace(task, recipe=replace(task.recipe, rank=size))),
            lambda: without(task),
            "linear at most: the adapter's products, its gradients and its optimizer's state are; the time is below it as long "
            "as starting the kernels takes most of it, and the memory seems a little above it because what is taken off, the "
            "frozen model's highest moment, comes at another time of the step than the adapter's",
        ),
        "layers": Growth(
            "adapted layers",
            (7, 14, 28, 56),
            lambda size: ours(replace(task, targets=task.paths[-size:])),
            None,
            "below linear: the forward pass is always the whole model's, the backward pass goes back to the first adapted layer",
        ),
    }


def measure(growth: Growth, rounds: int) -> tuple[list[dict[str, Any]], list[Point], list[Point]]:
    """A row for each size, and the points of time in milliseconds and of memory in MiB."""
    sides = {} if growth.constant is None else {"0": growth.constant()}
    sides |= {str(size): growth.side(size) for size in growth.sizes}
    taken = in_turns({name: side.one_step for name, side in sides.items()}, rounds, warm_up=1)
    times = {name: spread([1000 * value for value in values]) for name, values in taken.items()}
    peaks = {name: held(side.step).peak / 2**20 for name, side in sides.items()}
    least = {name: 1000 * min(values) for name, values in taken.items()}  # other programs only ever add to a time
    rows = [
        {
            "over": growth.over,
            "size": int(name),
            "step, ms": str(times[name]),
            "least, ms": in_digits(least[name]),
            "most, MiB": peaks[name],
        }
        for name in sides
    ]
    seconds = [(size, least[str(size)]) for size in growth.sizes]
    memory = [(size, peaks[str(size)]) for size in growth.sizes]
    if growth.constant is not None:
        seconds, memory = above(seconds, least["0"]), above(memory, peaks["0"])
    return rows, seconds, memory


def main() -> None:
    """Measure, fit, draw and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    names = ["batch", "pixels", "rank", "layers"]
    parser.add_argument("--questions", nargs="+", choices=names, default=names)
    args = parser.parse_args()
    torch.set_num_threads(1)
    every = questions(open_task("mini", torch.float32, 64, 4))
    rows, fits, goals = [], [], []
    panels: dict[str, dict[str, list[Point]]] = {"times its time": {}, "times its memory": {}}
    for name in args.questions:
        growth = every[name]
        sizes, seconds, memory = measure(growth, args.rounds)
        rows += sizes
        time, space = exponent(seconds), exponent(memory)
        fits.append(f"{growth.over}: time {time}, memory {space}. Expected: {growth.why}.")
        print(fits[-1], flush=True)
        for what, points in (("time", seconds), ("memory", memory)):  # what a fit over all sizes might hide
            last = exponent(points[-2:]).exponent
            goals.append(
                Goal(f"{growth.over}: exponent of a step's {what}, last two sizes", LINEAR, last, LAST, why=growth.why)
            )
        for what, fit in (("time", time), ("memory", space)):
            goals.append(
                Goal(
                    f"{growth.over}: exponent of a step's {what}",
                    LINEAR,
                    fit.exponent,
                    max(SLACK, fit.residual),
                    why=growth.why,
                )
            )
        first = growth.sizes[0]
        for lines, points, fit in zip(panels.values(), (seconds, memory), (time, space), strict=True):
            label = f"{growth.over}, exponent {fit.exponent:.2f}"
            lines[label] = [(size / first, value / points[0][1]) for size, value in points]
    curves("growth-step", "A step over what grows", "times the smallest", panels)
    Result(
        "growth-step",
        "How do the time and the memory of a training step grow with what is asked of it?",
        rows,
        goals,
        notes=[
            *fits,
            "Fitted are the least times; the exponent of value = factor x size ^ exponent, with the standard deviation of log(measured / fitted).",
        ],
        versions=versions("torch", "diffusers"),
        threads=1,
    ).write()


if __name__ == "__main__":
    run_bench(main)

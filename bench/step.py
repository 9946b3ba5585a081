"""How long is a training step, and what does the adapter cost of it?

Forward, loss, backward, clipping and optimizer: scumble's own step beside PEFT's, LyCORIS's and sd-scripts' modules in the
step of diffusers' training script, beside the formula written out, and beside the frozen model alone (forward, and
backward to its input). All share the frozen tensors, the batch and the adapters' numbers; before anything is measured
all must give one answer and one gradient.

    python bench/step.py [--base mini|FOLDER] [--dtype float32|bfloat16] [--side-px 64] [--batch 4] [--rounds 30] [--warm-up 2]
        [--sd-scripts CHECKOUT] [--questions lora algorithms checkpointing nf4]

Seconds are processor seconds, of one thread: on an idle machine the clock says the same. Results go to bench/results/.
"""

import argparse
import gc
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from harness.beside import goal_beside_fastest
from harness.command import run_bench
from harness.kernels import held, kernels
from harness.peers import commit_of, missing_checkout, missing_package, versions
from harness.plot import bars
from harness.result import Goal, Result
from harness.turns import in_turns, ratio, spread
from sides import in_lycoris, in_peft, in_sd_scripts
from sides.checks import refuse_difference
from sides.in_lycoris import by_lycoris
from sides.in_peft import by_peft
from sides.in_sd_scripts import by_sd_scripts
from sides.ours import NAME, ours
from sides.plain import NOTHING, by_formula, without
from sides.side import Side
from sides.task import RECIPES, Task, open_task

from scumble.adapters.pack import Storage, store

MIB = 2**20
LIMITS = {"mini": 1.20, "sd15": 1.05}
Row = dict[str, Any]


def sides_of(task: Task, args: argparse.Namespace) -> tuple[list[Side], list[Row]]:
    """Every side that can make the task's step, ours first; and a row for each that cannot."""
    peers = {
        "plain formula": lambda: by_formula(task),
        in_peft.NAME: lambda: by_peft(task),
        in_lycoris.NAME: lambda: by_lycoris(task),
        in_sd_scripts.NAME: lambda: by_sd_scripts(task, args.sd_scripts),
    }
    reasons = {name: missing_package(name) for name in (in_peft.NAME, in_lycoris.NAME)}
    reasons[in_sd_scripts.NAME] = missing_checkout(args.sd_scripts, "--sd-scripts", in_sd_scripts.PROOF)
    found, missing = [ours(task)], []
    for name, make in peers.items():
        if reasons.get(name) is not None:
            missing.append({"side": name, "step, ms": reasons[name]})
            continue
        try:
            side = make()
        except ModuleNotFoundError as error:  # of what a checkout needs besides
            missing.append({"side": name, "step, ms": f"missing: it needs {error.name}, which is not installed"})
            continue
        if side is not None:
            found.append(side)
    return [*found, without(task)], missing


def compared(what: str, sides: Sequence[Side], args: argparse.Namespace, dtype: torch.dtype) -> tuple[list[Row], Any]:
    """A row for each side, and what each took in each round.

    Raises:
        DifferentError: two sides compute different things.
    """
    apart = refuse_difference(sides[0], sides[1:-1], dtype)
    gc.collect()
    gc.freeze()  # or the collector would look through all sides in the turn of one
    takes = {side.name: side.one_step for side in sides}
    taken = in_turns(takes, args.rounds, args.warm_up)
    rows = []
    for side in sides:
        seconds = spread([1000 * value for value in taken[side.name]])
        rows.append(
            {
                "question": what,
                "side": side.name,
                "step, ms": str(seconds),
                "scumble / it": str(ratio(taken[sides[0].name], taken[side.name])),
                "it / no adapter": str(ratio(taken[side.name], taken[NOTHING])),
                "kernels": kernels(side.step),
                "kept, MiB": held(side.loss).kept / MIB,
                "peak, MiB": held(side.step).peak / MIB,
                "answer differs": apart.get(side.name, (0.0, 0.0))[0],
                "gradients differ": apart.get(side.name, (0.0, 0.0))[1] if side.has_same_gradients else None,
            }
        )
        print(rows[-1], flush=True)
    return rows, taken


BESIDE_PEERS, OVER = f"step, {NAME} / fastest peer", "step with LoRA / without"
"""The goals, as results call them."""


def goals_of(taken: dict[str, list[float]], base: str, why: str) -> list[Goal]:
    """Ours beside the fastest peer, and beside no adapter."""
    over = ratio(taken[NAME], taken[NOTHING])
    return [
        goal_beside_fastest("step", taken, NAME, [NOTHING], why),
        Goal.of(OVER, LIMITS[base], over, why=why),
    ]


def others(task: Task, args: argparse.Namespace) -> tuple[list[Row], list[Goal]]:
    """The rows of the questions beside LoRA's own, and a goal beside the fastest peer of each."""
    rows: list[Row] = []
    goals: list[Goal] = []
    asked = {}
    if "algorithms" in args.questions:
        asked = {name: task.with_recipe(name) for name in RECIPES if name != "lora"}
    if "checkpointing" in args.questions:
        asked["gradient checkpointing"] = replace(task, is_checkpointed=True)
    for name, own in asked.items():
        found, taken = compared(name, sides_of(own, args)[0], args, task.dtype)
        rows += found
        goals.append(goal_beside_fastest(f"step, {name}", taken, NAME, [NOTHING], args.why))
    if "nf4" in args.questions:
        packed = store(task.own_denoiser(), Storage("nf4"), torch.device("cpu"))
        stored = replace(task, denoiser=packed)
        rows += compared("NF4 base", [ours(stored), without(stored)], args, task.dtype)[0]
    return rows, goals


def main() -> None:
    """Compare, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--base", default="mini")
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--side-px", type=int, default=64)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--warm-up", type=int, default=2, help="rounds before, that do not count")
    parser.add_argument("--sd-scripts", type=Path)
    questions = ["lora", "algorithms", "checkpointing", "nf4"]
    parser.add_argument("--questions", nargs="+", choices=questions, default=questions)
    parser.add_argument("--why", default="", help="what to say of goals that are not met")
    parser.add_argument("--not-measured", metavar="WHY", help="write the goals down as not measured, and why")
    args = parser.parse_args()
    torch.set_num_threads(1)
    base = "mini" if args.base == "mini" else "sd15"
    question = f"How long is a training step on {base} ({args.dtype}, {args.side_px} px, batch {args.batch}), and what does the adapter cost?"
    kind = "" if "lora" in args.questions else "-".join(["", *args.questions])
    name = f"step-{base}-{args.side_px}px-{args.dtype}{kind}"
    if args.not_measured:
        goals = [
            Goal(what, limit, None, why=args.not_measured)
            for what, limit in ((BESIDE_PEERS, 1.0), (OVER, LIMITS[base]))
        ]
        Result(name, question, [], goals).write()
        return
    task = open_task(args.base, getattr(torch, args.dtype), args.side_px, args.batch)
    rows: list[Row] = []
    goals: list[Goal] = []
    if "lora" in args.questions:
        sides, missing = sides_of(task, args)
        rows, taken = compared("LoRA", sides, args, task.dtype)
        rows += missing
        goals = goals_of(taken, base, args.why)
        milliseconds = {side: spread([1000 * value for value in values]) for side, values in taken.items()}
        bars(name, f"A training step, {base}, {args.dtype}", "processor milliseconds", milliseconds)
    more, judged = others(task, args)
    rows += more
    goals += judged
    result = Result(
        name,
        question,
        rows,
        goals,
        notes(task),
        {**versions("torch", "diffusers", "peft", "lycoris"), **_sd_scripts(args)},
        threads=1,
    )
    result.write()


def notes(task: Task) -> list[str]:
    """What a reader must know."""
    return [
        f"{len(task.paths)} adapted layers (attention q, k, v, out), rank {task.recipe.rank}, alpha {task.recipe.alpha:g}; "
        "adapters in float32; medians with quartiles; ratios are of neighbouring turns.",
        "All sides share a process that keeps what it frees, as scumble's training sets it (decision 21): without that "
        "its own step on the SD 1.5 architecture takes a third longer.",
        "no adapter: the frozen model alone, forward and backward to its input; there is nothing to clip or to update.",
        "The peers' step is that of diffusers' script, without its logging: torch's AdamW as it comes, and clipping; "
        "under autocast where the weights are bfloat16, as their scripts run.",
        "kernels: operations that torch dispatches in a step, views left out. kept: bytes that live between the forward and "
        "the backward pass; peak: the most bytes of tensors at once in a step; both beside the weights.",
        "LyCORIS lets DoRA's gradient flow through the norm, which the paper, PEFT and scumble take for a constant: "
        "its gradients are meant to differ.",
        "NF4: scumble packs the convolutions of the blocks too, and bitsandbytes' own layers pack linear ones only, so no peer "
        "stands beside it.",
    ]


def _sd_scripts(args: argparse.Namespace) -> dict[str, str]:
    return {} if args.sd_scripts is None else {"sd-scripts": commit_of(args.sd_scripts)}


if __name__ == "__main__":
    run_bench(main)

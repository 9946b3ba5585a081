"""Has something become slower? A short bench of ratios, against those committed in bench/guard.json.

    python bench/guard.py            compare; code 1 names what is more than 20 % above its ratio
    python bench/guard.py --write    record new ratios

Times are processor times and only ever divided by one another, so that the same file serves every machine; counts are
exact.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import torch
from harness.command import run_bench
from harness.kernels import held, kernels
from harness.pictures import write_pictures
from harness.processes import measured
from harness.result import table
from harness.turns import in_turns, ratio
from sides.ours import ours
from sides.plain import by_formula, without
from sides.side import Side
from sides.task import open_task

RATIOS = Path(__file__).with_name("guard.json")
ALLOWED = 1.2
ROUNDS, STARTS, RUNS, TRAINED_STEPS = 21, 5, 3, 40
ONE_THREAD = {"OMP_NUM_THREADS": "1"}


def steps() -> dict[str, float]:
    """Of a step on the model in the box, batch 4, rank 16: its time, its kernels and what it keeps."""
    task = open_task("mini", torch.float32, 64, 4)
    sides = {"ours": ours(task), "formula": by_formula(task), "none": without(task)}
    taken = in_turns({name: side.one_step for name, side in sides.items()}, ROUNDS, warm_up=2)
    own, none = sides["ours"], sides["none"]
    return {
        "step: time with LoRA / without": ratio(taken["ours"], taken["none"]).median,
        "step: time of scumble / the plain formula": ratio(taken["ours"], taken["formula"]).median,
        "step: operations with LoRA / without": kernels(own.step) / kernels(none.step),
        "step: bytes kept with LoRA / without": held(own.loss).kept / held(none.loss).kept,
        "step: most bytes with LoRA / without": held(own.step).peak / held(none.step).peak,
    }


def algorithms() -> dict[str, float]:
    """Of a step with each algorithm, beside one with LoRA."""
    task = open_task("mini", torch.float32, 64, 4)
    names = {"loha": "LoHa", "lokr": "LoKr", "dora output": "DoRA"}
    sides = {"lora": ours(task), **{name: ours(task.with_recipe(name)) for name in names}}
    taken = in_turns({name: side.one_step for name, side in sides.items()}, ROUNDS // 3, warm_up=1)
    return {f"step: time with {word} / LoRA": ratio(taken[name], taken["lora"]).median for name, word in names.items()}


def starts() -> dict[str, float]:
    """Of the command's start beside Python's own."""
    commands = {"help": [sys.executable, "-m", "scumble", "--help"], "python": [sys.executable, "-c", "pass"]}
    taken = in_turns({name: _processor_seconds(command) for name, command in commands.items()}, STARTS, warm_up=1)
    return {"start: scumble --help / python -c pass": ratio(taken["help"], taken["python"]).median}


def whole_run() -> dict[str, float]:
    """Of a small training, start of the process to the file, beside its bare steps."""
    side = ours(open_task("mini", torch.float32, 64, 1))
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        pictures = write_pictures(Path(folder) / "pictures", 8, 64)
        taken = in_turns({"run": partial(_run, pictures), "steps": partial(_bare_steps, side)}, RUNS, warm_up=1)
    return {f"run: a training of {TRAINED_STEPS} steps / its bare steps": ratio(taken["run"], taken["steps"]).median}


def _run(pictures: Path) -> float:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        words = ["train", pictures, "--base", "mini", "--max-train-steps", str(TRAINED_STEPS)]
        places = ["--output-dir", Path(folder) / "run", "--cache-dir", Path(folder) / "cache"]
        return measured([sys.executable, "-m", "scumble", *words, *places], ONE_THREAD).processor_seconds


def _bare_steps(side: Side) -> float:
    return sum(side.one_step() for _ in range(TRAINED_STEPS))


def _processor_seconds(command: list[str]) -> Callable[[], float]:
    return lambda: measured(command, ONE_THREAD).processor_seconds


PARTS = (steps, algorithms, starts, whole_run)


def slower(found: Mapping[str, float], known: Mapping[str, float]) -> list[str]:
    """A sentence for each ratio that is above what is allowed, that is new, or that is gone."""
    said = [f"{name}: it is not in {RATIOS.name}; record it with --write" for name in found.keys() - known.keys()]
    said += [f"{name}: it is in {RATIOS.name}, but was not measured" for name in known.keys() - found.keys()]
    said += [
        f"{name}: {found[name]:.3g}, was {known[name]:.3g}; more than {ALLOWED:g} times that"
        for name in found.keys() & known.keys()
        if found[name] > ALLOWED * known[name]
    ]
    return sorted(said)


def main() -> int:
    """Measure, then record or compare; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help="record the ratios")
    args = parser.parse_args()
    torch.set_num_threads(1)
    found: dict[str, float] = {}
    for part in PARTS:
        found |= {name: round(value, 3) for name, value in part().items()}
    if args.write:
        RATIOS.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    known = json.loads(RATIOS.read_text(encoding="utf-8")) if RATIOS.exists() else {}
    print(table([{"ratio": name, "found": value, "known": known.get(name)} for name, value in found.items()]))
    complaints = slower(found, known)
    print("\n".join(complaints) or f"nothing is more than {ALLOWED:g} times its ratio")
    return 1 if complaints else 0


if __name__ == "__main__":
    run_bench(main)

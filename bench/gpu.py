"""The whole table on a GPU: steps, end to end, and cards of less memory; beside diffusers' scripts and PEFT's bare step.

    python bench/gpu.py --work FOLDER [--diffusers CHECKOUT] [--part sd15-steps ...]

Each part writes a result of its own, so a run that was stopped goes on with the parts that are left. Without a GPU it says
"no GPU here" and ends with code 75; `--rehearse` runs the same code on a CPU with narrow models and two steps, and writes
nothing; `--not-measured` writes the goals down as what they are then.
"""

import argparse
import gc
import itertools
import json
import os
import shutil
import statistics
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import torch
from harness.bases import write_narrow, write_sd15, write_sdxl
from harness.command import run_bench
from harness.peers import commit_of, missing_checkout, versions
from harness.pictures import write_pictures
from harness.processes import CommandFailedError, measured
from harness.result import Goal, Result, table
from harness.turns import in_digits, in_turns, ratio, spread
from on_gpu.clock import Timed, peak_rate, timed
from on_gpu.sides import RANK, Task, by_peft, ours

from scumble.device import is_out_of_memory

NO_GPU = 75
"""Exit code; EX_TEMPFAIL: another machine may have one."""

BATCHES = (1, 4, 8)
BESIDE_PEFT, BESIDE_DIFFUSERS, USED = 1.3, 2.0, 0.40
SCRIPTS = {
    "sd15": "examples/text_to_image/train_text_to_image_lora.py",
    "sdxl": "examples/text_to_image/train_text_to_image_lora_sdxl.py",
}
PRESETS: dict[str, dict[str, object]] = {
    "as it is": {},
    "gradient checkpointing": {"gradient_checkpointing": True},
    "checkpointing, nf4": {"gradient_checkpointing": True, "base_packing": "nf4"},
    "checkpointing, weights in the computer": {"gradient_checkpointing": True, "group_offload": True},
}
CARDS_GB = (8, 12, 16)
Side = Callable[[], AbstractContextManager[Callable[[], object]]]
"""Gives, while it is open, a function that makes one step."""


@dataclass(frozen=True)
class Bench:
    """How a part is run.

    Attributes:
        work: folder.
        device: where.
        is_rehearsal: narrow models, two steps.
        diffusers: checkout, if one was given.
    """

    work: Path
    device: torch.device
    is_rehearsal: bool
    diffusers: Path | None

    @property
    def steps(self) -> int:
        """That count."""
        return 2 if self.is_rehearsal else 20

    def side_px(self, base: str) -> int:
        """Of the training square."""
        return 64 if self.is_rehearsal else {"sd15": 512, "sdxl": 1024}[base]

    def base(self, name: str) -> Path:
        """Its folder, written if it is not there."""
        if self.is_rehearsal:
            return write_narrow(self.work / f"narrow-{name}", {"sd15": "sd1"}.get(name, name))
        return {"sd15": write_sd15, "sdxl": write_sdxl}[name](self.work / name)

    def pictures(self, base: str) -> Path:
        """Twenty of the size that is trained on, with the table that diffusers' scripts read."""
        side = self.side_px(base)
        folder = write_pictures(self.work / f"pictures-{side}", 20, side)
        lines = [
            json.dumps({"file_name": path.name, "text": path.with_suffix(".txt").read_text(encoding="utf-8")})
            for path in sorted(folder.glob("*.png"))
        ]
        (folder / "metadata.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
        return folder


def steps_of(bench: Bench, base: str) -> Result:
    """Pictures a second, memory and use of the card of bare steps, by batch."""
    rows, found = [], {}
    for batch in BATCHES[:1] if bench.is_rehearsal else BATCHES:
        task = Task(bench.base(base), bench.pictures(base), bench.side_px(base), batch, bench.device, bench.work)
        sides = {
            "scumble": lambda task=task: ours(task, compiled=False),
            "scumble, compiled": lambda task=task: ours(task, compiled=True),
            "PEFT, bare step": lambda task=task: by_peft(task),
        }
        for name, side in sides.items():
            try:
                took = _timed_side(bench, side)
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
                rows.append({"side": name, "batch": batch, "why": "out of memory"})
            else:
                found[name, batch] = took
                rows.append(_row(name, batch, took, bench.device))
            print(rows[-1], flush=True)
            forget(bench.device)  # or the next side's peak would hold this one's model
    return Result(
        f"gpu-{base}-steps",
        f"How fast are steps of {base} on a GPU, in bf16?",
        rows,
        list(_goals_of_steps(base, found, bench.device)),
    )


def _timed_side(bench: Bench, side: Side) -> Timed:
    """In a function of its own, so that nothing of the side is left when it returns."""
    with side() as step:
        return timed(step, bench.device, 1 if bench.is_rehearsal else 5, bench.steps)


def forget(device: torch.device) -> None:
    """Give back all that the sides before have left: compiled blocks hold themselves until they are collected."""
    torch.compiler.reset()
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()


def _row(name: str, batch: int, took: Timed, device: torch.device) -> dict[str, object]:
    seconds = statistics.median(took.seconds)
    peak = peak_rate(device)
    return {
        "side": name,
        "batch": batch,
        "pictures a second": round(batch / seconds, 3),
        "ms a step": round(1e3 * seconds, 1),
        "peak GB": round(took.peak_gb, 2),
        "MFU": None if peak is None else round(took.operations / seconds / peak, 3),
        "first step, s": round(took.first_seconds, 1),
        "waits a step": took.waits,
    }


def _goals_of_steps(base: str, found: dict[tuple[str, int], Timed], device: torch.device) -> Iterator[Goal]:
    most = max((batch for _, batch in found), default=BATCHES[-1])
    best = found.get(("scumble, compiled", most))
    peft = found.get(("PEFT, bare step", most))
    faster = None if best is None or peft is None else statistics.median(peft.seconds) / statistics.median(best.seconds)
    peak = peak_rate(device)
    used = None if best is None or peak is None else best.operations / statistics.median(best.seconds) / peak
    why = "" if best else "no GPU here"
    yield Goal(
        f"{base}: pictures a second beside PEFT's bare step, batch 8", BESIDE_PEFT, faster, at_least=True, why=why
    )
    yield Goal(f"{base}: MFU, batch 8", USED, used, at_least=True, why=why if used is None else "")


def end_to_end(bench: Bench, base: str) -> Result:
    """From the start of the process to the file, beside diffusers' script."""
    steps, batch = (2, 1) if bench.is_rehearsal else (100, 4)
    folder, pictures, side = bench.base(base), bench.pictures(base), bench.side_px(base)
    common = ["--resolution", side, "--train_batch_size", batch, "--max_train_steps", steps, "--rank", RANK]
    precision = "no" if bench.is_rehearsal else "bf16"
    commands: dict[str, list] = {
        "scumble": [
            *(sys.executable, "-m", "scumble", "train", pictures, "--base", folder, *common, "--overwrite"),
            *("--mixed-precision", precision, "--output-dir", bench.work / "runs", "--name", f"end-{base}"),
            *("--cache-dir", bench.work / f"cache-{base}", "--report-to", "none"),
        ]
    }
    missing = missing_checkout(bench.diffusers, "--diffusers", SCRIPTS[base])
    if missing is None:
        assert bench.diffusers is not None
        commands["diffusers' script"] = [
            *(sys.executable, bench.diffusers / SCRIPTS[base], "--pretrained_model_name_or_path", folder, *common),
            *("--train_data_dir", pictures, "--caption_column", "text", "--mixed_precision", precision),
            *("--output_dir", bench.work / f"peer-{base}", "--checkpointing_steps", 10**6, "--seed", 0),
        ]
    rows: list[dict[str, object]] = []

    def once(name: str) -> float:
        shutil.rmtree(bench.work / f"cache-{base}", ignore_errors=True)  # ours begins as the script does: with nothing
        return measured([str(word) for word in commands[name]], {"HF_HUB_OFFLINE": "1"}).seconds

    taken: dict[str, list[float]] = {}
    try:
        taken = in_turns({name: partial(once, name) for name in commands}, 1 if bench.is_rehearsal else 3)
    except CommandFailedError as error:
        missing = f"fails: {str(error).splitlines()[-1]}"
    for name, seconds in taken.items():
        rate = in_digits(steps * batch / spread(seconds).median)
        rows.append({"side": name, "seconds": str(spread(seconds)), "pictures a second": rate})
        print(rows[-1], flush=True)
    rows += [{"side": "diffusers' script", "why": missing}] if missing else []
    faster = None if missing else ratio(taken["diffusers' script"], taken["scumble"]).median
    return Result(
        f"gpu-{base}-end-to-end",
        f"How fast is a whole run of {base} on a GPU beside diffusers' script?",
        rows,
        [_end_goal(base, faster, missing or "")],
        notes=[] if missing else [f"diffusers at {commit_of(bench.diffusers)}"],
    )


def _end_goal(base: str, faster: float | None, why: str) -> Goal:
    what = f"{base}: pictures a second end to end beside diffusers' script"
    return Goal(what, BESIDE_DIFFUSERS, faster, at_least=True, why=why)


def cards(bench: Bench, base: str) -> Result:
    """Which settings fit cards of less memory, and how fast they are there."""
    rows: list[dict[str, object]] = []
    here = [preset for preset, settings in PRESETS.items() if "group_offload" not in settings]  # a CPU refuses it
    choices = list(
        itertools.product(CARDS_GB[:1], here) if bench.is_rehearsal else itertools.product(CARDS_GB, PRESETS)
    )
    for gigabytes, preset in choices:
        settings = [f"{name}={json.dumps(value)}" for name, value in PRESETS[preset].items()]
        arguments = [bench.base(base), bench.pictures(base), bench.side_px(base), bench.work, bench.steps // 2 + 1]
        command = [sys.executable, "-m", "on_gpu.capped", str(gigabytes), *map(str, arguments), *settings]
        took = measured(command, {"HF_HUB_OFFLINE": "1", "PYTHONPATH": _paths()})
        rows.append({"card, GiB": gigabytes, "settings": preset, **json.loads(took.output.splitlines()[-1])})
        print(rows[-1], flush=True)
    fitting = {row["card, GiB"] for row in rows if row["fits"] == "yes"}
    goal = Goal(
        f"{base}: cards of {', '.join(map(str, CARDS_GB))} GiB that some preset fits", 3, len(fitting), at_least=True
    )
    return Result(f"gpu-{base}-cards", f"Which settings of {base} fit which card, and how fast?", rows, [goal])


def _paths() -> str:
    return os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])


Part = Callable[[Bench, str], Result]
PARTS: dict[str, tuple[Part, str]] = {
    f"{base}-{name}": (part, base)
    for name, part in (("steps", steps_of), ("end-to-end", end_to_end), ("cards", cards))
    for base in ("sd15", "sdxl")
}


def not_measured() -> Iterator[Result]:
    """The goals of every part, without a number."""
    why = "no GPU here"
    none = [{"side": "none", "why": why}]
    for base in ("sd15", "sdxl"):
        goals = list(_goals_of_steps(base, {}, torch.device("cpu")))
        yield Result(f"gpu-{base}-steps", f"How fast are steps of {base} on a GPU, in bf16?", none, goals)
        question = f"How fast is a whole run of {base} on a GPU beside diffusers' script?"
        yield Result(f"gpu-{base}-end-to-end", question, none, [_end_goal(base, None, why)])
        goal = Goal(f"{base}: cards of 8, 12, 16 GiB that some preset fits", 3, None, at_least=True, why=why)
        yield Result(f"gpu-{base}-cards", f"Which settings of {base} fit which card, and how fast?", none, [goal])


def main() -> int:
    """Run the parts; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, help="folder for bases, pictures and runs, kept")
    parser.add_argument("--diffusers", type=Path, help="checkout, for its scripts")
    parser.add_argument("--part", choices=list(PARTS), nargs="+", default=list(PARTS))
    parser.add_argument("--rehearse", action="store_true", help="on a CPU, with narrow models; writes nothing")
    parser.add_argument("--not-measured", action="store_true", help="without a GPU, write the goals as not measured")
    options = parser.parse_args()
    if options.not_measured:
        for result in not_measured():
            result.write()
        return 0
    if not torch.cuda.is_available() and not options.rehearse:
        print("no GPU here")
        return NO_GPU
    if options.work is None:
        parser.error("--work FOLDER is needed")
    options.work.mkdir(parents=True, exist_ok=True)
    device = torch.device("cpu" if options.rehearse else "cuda")
    bench = Bench(options.work, device, options.rehearse, options.diffusers)
    for name in options.part:
        part, base = PARTS[name]
        result = part(bench, base)
        forget(device)  # parts that start processes of their own need the whole card
        result.versions = versions("torch", "diffusers", "peft", "accelerate")
        if options.rehearse:
            print(f"{table(result.rows)}\nrehearsed {name} on a CPU with narrow models: nothing is written", flush=True)
        else:
            result.more = {"card": torch.cuda.get_device_name(device)}
            result.write()
    return 0


if __name__ == "__main__":
    run_bench(main)

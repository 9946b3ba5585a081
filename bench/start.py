"""How long a person waits for the first words: help, what is missing, the start-up card.

    python bench/start.py
    python bench/start.py --sd15 FOLDER

Every line is a process of its own, from its start to its end, beside a Python that does nothing. That nothing heavy
is imported where something is missing is read off `python -X importtime`. The card is what `scumble train` shows
before anything is loaded: to its first line, on the model in the box and on the SD 1.5 architecture.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from time import monotonic

from harness.bases import write_sd15
from harness.command import run_bench
from harness.peers import versions
from harness.pictures import write_pictures
from harness.plot import bars
from harness.processes import Spent, measured
from harness.result import Goal, Result
from harness.turns import Spread, in_turns, spread

HEAVY = ("torch", "diffusers", "transformers", "peft", "numpy", "PIL")
NOTHING = "python -c pass"
HELP = "scumble --help"
MISSING = {
    "train, no folder": (["train", "nowhere"], 1),
    "generate, no LoRA": (["generate", "a dog", "--lora", "no.safetensors"], 1),
    "generate, no LoRA of a name": (["generate", "a dog <lora:nobody:1>"], 2),
    "compare, no LoRA": (["compare", "--prompt", "a dog", "--lora", "no.safetensors"], 1),
    "merge, no LoRA": (["merge", "no.safetensors", "--out", "two.safetensors"], 1),
    "caption, no folder": (["caption", "nowhere"], 1),
}
"""Command that lacks a file -> its words and exit code."""
IMPORTS = {
    "importing torch": "import torch",
    "importing diffusers' UNet": "from scumble.cli.spared import spare_unused; spare_unused(); "
    "from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel",
    "importing diffusers' UNet, nothing spared": "from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel",
}
"""What a card (torch), and after it the first model, waits for -> a program that does only that; torch is part of all."""


def command(words: Sequence[str]) -> list[str]:
    """Of scumble, by this Python."""
    return [sys.executable, "-m", "scumble", *words]


def heavy_imports(words: Sequence[str], folder: Path) -> list[str]:
    """Which heavy packages a command imports, by `-X importtime`."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "scumble", *words],
        capture_output=True,
        text=True,
        cwd=folder,
        check=False,
    )
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines() if "|" in line}
    assert "scumble" in imported, done.stderr[-500:]
    return [name for name in HEAVY if name in imported]


def to_card(words: Sequence[str]) -> Spent:
    """From the start of `scumble train` to the last line of its card; the process is stopped there."""
    started = monotonic()
    process = subprocess.Popen(command(words), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout is not None
    seen = []
    for line in process.stdout:
        seen.append(line)
        if re.match(r"\s+files\s", line):
            break
    else:
        raise SystemExit("no card: " + "".join(seen[-5:]))
    seconds = monotonic() - started
    process.kill()
    _, _, used = os.wait4(process.pid, 0)
    process.returncode = -9
    return Spent(round(seconds, 3), round(used.ru_utime + used.ru_stime, 3), 0.0)


def main() -> None:
    """Measure all of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sd15", type=Path, help="folder of the SD 1.5 architecture; none = made with random weights")
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--missing-rounds", type=int, default=5)
    parser.add_argument("--card-rounds", type=int, default=3, help="0 = leave the cards out")
    asked = parser.parse_args()
    if asked.sd15 is not None and not asked.sd15.is_dir():
        parser.error(f"--sd15 {asked.sd15}: no such folder")
    os.environ.update(OMP_NUM_THREADS="1", HF_HUB_OFFLINE="1", PYTHONUNBUFFERED="1")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        taken: dict[str, list[Spent]] = {}
        first = {
            NOTHING: partial(measured, [sys.executable, "-c", "pass"]),
            HELP: partial(measured, command(["--help"])),
        }
        _take(first, asked.rounds, taken)
        missing = {
            label: partial(measured, command(words), folder=folder, expected=code)
            for label, (words, code) in MISSING.items()
        }
        _take(missing, asked.missing_rounds, taken)
        heavy = {label: heavy_imports(words, folder) for label, (words, _) in MISSING.items()}
        heavy[HELP] = heavy_imports(["--help"], folder)
        if asked.card_rounds:
            imports = {label: partial(measured, [sys.executable, "-c", code]) for label, code in IMPORTS.items()}
            _take({**imports, **_cards(asked, folder)}, asked.card_rounds, taken)
    _report(taken, heavy)


def _cards(asked: argparse.Namespace, folder: Path) -> dict[str, Callable[[], Spent]]:
    pictures = write_pictures(folder / "pictures", 20, 256)
    bases = {"mini": "mini", "SD 1.5": str(asked.sd15 or write_sd15(folder / "base"))}
    words = ["train", str(pictures), "--output-dir", str(folder / "runs"), "--cache-dir", str(folder / "cache")]
    return {f"card, {label}": partial(to_card, [*words, "--base", base]) for label, base in bases.items()}


def _take(sides: Mapping[str, Callable[[], Spent]], rounds: int, taken: dict[str, list[Spent]]) -> None:
    """Turns of all sides; what they took is added to what was taken."""

    def take(label: str, side: Callable[[], Spent]) -> float:
        taken.setdefault(label, []).append(side())
        return taken[label][-1].seconds

    in_turns({label: partial(take, label, side) for label, side in sides.items()}, rounds)
    for label in sides:
        print(label, [one.seconds for one in taken[label]], flush=True)


def _report(taken: dict[str, list[Spent]], heavy: dict[str, list[str]]) -> None:
    seconds = {label: spread([one.seconds for one in runs]) for label, runs in taken.items()}
    processor = {label: spread([one.processor_seconds for one in runs]) for label, runs in taken.items()}
    rows = [
        {
            "command": label,
            "runs": len(taken[label]),
            "seconds": str(seconds[label]),
            "processor seconds": str(processor[label]),
            "heavy imports": ", ".join(heavy[label]) or "none" if label in heavy else "-",
        }
        for label in taken
    ]

    def goal(label: str, limit: float, of: str) -> Goal:
        if label not in taken:
            return Goal(f"{label}, {of}", limit, None, why="left out by --card-rounds 0")
        value = (seconds if of == "seconds" else processor)[label]
        return Goal.of(f"{label}, {of}", limit, value, why=_why(label, processor))

    limits = dict.fromkeys(MISSING, 1.0) | {HELP: 0.3, "card, mini": 5.0, "card, SD 1.5": 5.0}
    goals = [goal(label, limit, of) for of in ("seconds", "processor seconds") for label, limit in limits.items()]
    goals.append(Goal("heavy packages imported before a missing file is said", 0, sum(map(len, heavy.values()))))
    bars(
        "start",
        "From the start of the process to its first words",
        "processor seconds",
        processor,
        ours=("scumble", "card", *MISSING),
    )
    notes = ["Other programs used the machine: python -c pass, of about 0.02 s where it is idle, says by how much."]
    notes += [
        "Spared: what diffusers would import of optional packages (docs/decisions/0016-what-a-command-imports.md)."
    ]
    Result(
        "start", "How long does one wait for the first words?", rows, goals, notes, versions("torch", "diffusers"), 1
    ).write()


def _why(label: str, processor: Mapping[str, Spread]) -> str:
    """What a card waits for."""
    torch, _, _ = IMPORTS
    if not label.startswith("card"):
        return ""
    return f"a program that only imports torch takes {processor[torch].median:.1f} s"


if __name__ == "__main__":
    run_bench(main)

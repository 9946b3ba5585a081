"""Whole trainings, ours and diffusers' script's: what is run, how, and what one run took."""

import json
import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from time import time

from harness.pictures import write_pictures, write_table
from harness.processes import Spent, measured

SCRIPT = "examples/text_to_image/train_text_to_image_lora.py"
OURS, THEIRS = "scumble", "diffusers' script"
QUIET = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_DISABLE_PROGRESS_BARS": "1"}
BAR = re.compile(r"Steps: 100%.*?(\d+)/\1 \[(?:(\d+):)?(\d+):(\d+)<")
"""The last line of the script's progress bar: its steps, and the hours, minutes and seconds that they took."""
WHOLE = 200
"""Steps of the run that is asked about where fewer are made."""


@dataclass(frozen=True)
class Setting:
    """What is run.

    Attributes:
        words: for people.
        pictures: how many.
        side_px: of the pictures, and the resolution.
        steps: of a run, where nothing else is asked for.
        precision: of both; None = each its own.
        is_equal: leave out what only one of them does.
        time_goal: highest ratio of the times; None = none was set.
        memory_goal: highest ratio of the peaks; None = none was set.
    """

    words: str
    pictures: int
    side_px: int
    steps: int
    precision: str | None
    is_equal: bool
    time_goal: float | None
    memory_goal: float | None


SETTINGS = {
    "mini": Setting("the model in the box, 64 px, fp32", 24, 64, 400, "no", True, 0.6, None),
    "bf16": Setting("SD 1.5 architecture, 256 px, both bf16", 20, 256, WHOLE, "bf16", True, 0.72, 0.70),
    "bf16-memory": Setting("SD 1.5 architecture, 64 px, both bf16", 20, 64, 2, "bf16", True, None, 0.70),
    "fp32": Setting("SD 1.5 architecture, 256 px, both fp32", 20, 256, WHOLE, "no", True, 0.72, 0.70),
    "defaults": Setting("SD 1.5 architecture, 256 px, each its own defaults", 20, 256, WHOLE, None, False, 0.40, 0.50),
}


@dataclass(frozen=True)
class Case:
    """One run of each side.

    Attributes:
        setting: what is run.
        base: folder of the base.
        data: folder with the pictures of both, see `write_data`.
        work: for what the runs write.
        checkout: of diffusers.
        steps: of this run.
        rank: of the LoRA; alpha is equal to it.
    """

    setting: Setting
    base: Path
    data: Path
    work: Path
    checkout: Path
    steps: int
    rank: int

    def ours(self) -> tuple[list[str | Path], Path]:
        """The command line, and the file that it is to write."""
        out = self._new_folder("ours")
        words: list[str | Path] = [
            *(
                "-m",
                "scumble",
                "train",
                self.data / "ours",
                "--base",
                self.base,
                "--resolution",
                str(self.setting.side_px),
            ),
            *("--max-train-steps", str(self.steps), "--cache-dir", out / "cache", "--output-dir", out, "--name", "it"),
        ]
        if self.setting.is_equal:
            words += ["--rank", str(self.rank), "--learning-rate", "1e-4", "--lr-scheduler", "constant"]
            words += ["--validation-steps", str(self.steps), "--checkpointing-steps", str(self.steps)]
        return self._with_precision(words, "--mixed-precision"), out / "it" / "it.safetensors"

    def theirs(self) -> tuple[list[str | Path], Path]:
        """The command line, and the file that it is to write."""
        out = self._new_folder("theirs")
        words: list[str | Path] = [
            self.checkout / SCRIPT,
            *("--pretrained_model_name_or_path", self.base, "--train_data_dir", self.data / "theirs"),
            *("--resolution", str(self.setting.side_px), "--max_train_steps", str(self.steps), "--output_dir", out),
            *("--train_batch_size", "1", "--cache_dir", out / "cache"),
        ]
        if self.setting.is_equal:
            words += ["--rank", str(self.rank), "--center_crop", "--lr_warmup_steps", "0", "--seed", "0"]
        return self._with_precision(words, "--mixed_precision"), out / "pytorch_lora_weights.safetensors"

    def _with_precision(self, words: list[str | Path], flag: str) -> list[str | Path]:
        return words if self.setting.precision is None else [*words, flag, self.setting.precision]

    def _new_folder(self, name: str) -> Path:
        folder = self.work / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        return folder


@dataclass(frozen=True)
class Run:
    """One run: what the process took, when its LoRA was there, and the mean of its steps."""

    spent: Spent
    seconds_to_file: float
    seconds_a_step: float


def run(case: Case, side: str) -> Run:
    """Run one side once.

    Raises:
        CommandFailedError: it ended otherwise than well.
    """
    words, file = case.ours() if side == OURS else case.theirs()
    started = time()
    spent = measured([sys.executable, *words])
    to_file = file.stat().st_mtime - started
    a_step = seconds_in_journal(file.with_name("events.jsonl")) if side == OURS else seconds_on_bar(spent.output)
    print(
        f"{side}, {case.steps} steps: {spent.seconds} s, {spent.processor_seconds} s of processor, {spent.peak_gb} GB"
    )
    return Run(spent, round(to_file, 2), round(a_step, 3))


def seconds_in_journal(journal: Path) -> float:
    """Mean of the steps that our journal tells."""
    events = map(json.loads, journal.read_text(encoding="utf-8").splitlines())
    return fmean(event["seconds"] for event in events if event["kind"] == "stepped")


def seconds_on_bar(output: str) -> float:
    """Mean of the steps that the script's progress bar tells, at the end of its run."""
    *_, (steps, hours, minutes, seconds) = BAR.findall(output)
    return (3600 * int(hours or 0) + 60 * int(minutes) + int(seconds)) / int(steps)


def write_data(folder: Path, count: int, side_px: int) -> Path:
    """Pictures with captions beside them for us, and the same with one table for the script."""
    shutil.copytree(write_pictures(folder / "ours", count, side_px), folder / "theirs")
    write_table(folder / "theirs")
    return folder

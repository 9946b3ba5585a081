"""Stable Diffusion 1.5 at full size: does a training step and a picture fit, and in how much memory?

Writes a pipeline folder with the full 860M-parameter architecture and random weights (nothing is downloaded), then runs
`scumble train` for two steps and `scumble generate` on it as processes of their own, and records time and peak memory.

    python bench/full_size_sd15.py --work FOLDER [--resolution 512] [--precision bf16]

The folder needs 2.5 GB; give the same one again to keep the base. Results go to bench/results/.
"""

import argparse
import sys
from pathlib import Path

from harness.bases import write_sd15
from harness.peers import versions
from harness.pictures import write_pictures
from harness.processes import Spent, measured
from harness.result import Goal, Result

LIMIT_GB = 16


def scumble(arguments: list[str]) -> Spent:
    """One command, measured."""
    return measured([sys.executable, "-m", "scumble", *arguments])


def main() -> None:
    """Write the base if needed, run both commands, record the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--resolution", type=int, default=512)
    parser.add_argument("--precision", choices=["no", "bf16"], default="bf16")
    options = parser.parse_args()
    work, side = options.work, options.resolution
    work.mkdir(parents=True, exist_ok=True)
    base = write_sd15(work / "sd15-random")
    pictures = write_pictures(work / "two-pictures", 2, side)
    train = scumble([
        "train", str(pictures), "--base", str(base), "--output-dir", str(work / "runs"), "--name", "full",
        "--max-train-steps", "2", "--validation-steps", "2", "--resolution", str(side), "--overwrite",
        "--mixed-precision", options.precision, "--cache-dir", str(work / "cache"), "--report-to", "none",
    ])  # fmt: skip
    generate = scumble([
        "generate", "photo of sks dog <lora:full:0.8>", "--runs-dir", str(work / "runs"), "--base", str(base),
        "--steps", "4", "--sampler", "DPM++ 2M Karras", "--width", str(side), "--height", str(side),
        "--mixed-precision", options.precision, "--out", str(work / "out"),
    ])  # fmt: skip
    Result(
        f"full-size-sd15-{side}-{options.precision}",
        f"Does Stable Diffusion 1.5 fit at {side} px in {options.precision}?",
        [{"command": "train, 2 steps", **train.figures()}, {"command": "generate, 4 steps", **generate.figures()}],
        goals=[Goal("peak memory of either, GB", LIMIT_GB, max(train.peak_gb, generate.peak_gb))],
        versions=versions("torch", "diffusers"),
    ).write()


if __name__ == "__main__":
    main()

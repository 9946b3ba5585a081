"""The script for a GPU, run where there is none: it says so; rehearsed, its code goes through and writes nothing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[2]


def run(*arguments):
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, str(ROOT / "bench" / "gpu.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


def test_without_a_gpu_it_says_so_with_a_code_of_its_own():
    done = run()
    assert (done.returncode, done.stdout.strip()) == (75, "no GPU here")


@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.is_available(), reason="a rehearsal is for a CPU")
@pytest.mark.parametrize("base", ["sd15", "sdxl"])
def test_a_rehearsal_goes_through_every_part_and_writes_nothing(base, tmp_path):
    results = set((ROOT / "bench" / "results").iterdir())
    parts = [f"{base}-steps", f"{base}-end-to-end", f"{base}-cards"]
    done = run("--rehearse", "--work", tmp_path, "--part", *parts)
    assert done.returncode == 0, done.stderr[-2000:]
    assert all(f"rehearsed {part} on a CPU with narrow models: nothing is written" in done.stdout for part in parts)
    assert all(
        side in done.stdout
        for side in (
            "scumble, compiled",
            "PEFT, bare step",
            "| 8 | as it is | yes |",
            "| 8 | checkpointing, nf4 | yes |",
        )
    )
    assert "refused" not in done.stdout
    assert set((ROOT / "bench" / "results").iterdir()) == results

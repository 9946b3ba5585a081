"""Read damaged LoRA files: is it ever anything but a LoRA that is whole, or an error that can be read?

Takes small whole files of every algorithm and naming and damages them: random bytes, cuts, edits of the header, names,
shapes and settings. Half are read as a whole, half with a part allowed. An unexpected error stops the run and leaves the
file in the folder.

    python bench/fuzz_lora_files.py --work FOLDER [--count 100000] [--seed 1]

Results go to bench/results/. The tests run the same for 2,000 files.
"""

import argparse
import datetime
import json
import os
import platform
import sys
import time
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "files"))

from mutations import try_mutated, whole_files

MOST_MB = 100


def memory_mb(name: str) -> float:
    """A figure of this process's memory in MB, as Linux tells it: VmRSS = now, VmHWM = the peak."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith(name))


def main() -> None:
    """Damage, read, record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    files = whole_files()
    try_mutated(files, 200, 0, options.work)  # everything is imported and warm
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    before, started = memory_mb("VmRSS"), time.monotonic()
    found = try_mutated(files, options.count, options.seed, options.work)
    over = memory_mb("VmHWM") - before
    result = {
        "date": datetime.date.today().isoformat(),
        "command": f"python bench/fuzz_lora_files.py --work FOLDER --count {options.count} --seed {options.seed}",
        "hardware": f"{os.cpu_count()} cores, {platform.processor() or platform.machine()}",
        "versions": {"torch": torch.__version__, "python": platform.python_version()},
        "whole files to begin with": len(files),
        "largest of them in bytes": max(map(len, files)),
        "damaged files": sum(map(sum, found.values())),
        "read whole": sum(read for read, _ in found.values()),
        "refused with LoraFileError": sum(refused for _, refused in found.values()),
        "anything else": 0,
        "by kind of damage": {name: {"read": read, "refused": refused} for name, (read, refused) in found.items()},
        "seconds": round(time.monotonic() - started, 1),
        "peak memory over the start in MB": round(over, 1),
        "within_limit": over < MOST_MB,
    }
    path = Path(__file__).parent / "results" / f"{result['date']}-fuzz-lora-files-{options.count}.json"
    path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()

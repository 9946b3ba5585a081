"""The usual rank sweep on the model in the box, from its pictures to its report: seconds by the clock and of the processors.

    python bench/sweep.py --work FOLDER [--steps 200] [--workers auto]

Results go to bench/results/. On a busy machine the clock says little: the processors' seconds, divided by the cores, are what an idle one needs at least.
"""

import argparse
import datetime
import json
import os
import platform
import resource
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

from scumble.mini.handwriting import read_handwriting, split
from scumble.mini.lessons import write_concept

LIMIT_SECONDS = 12 * 60


def main() -> None:
    """Make the pictures, run the sweep, print and write what it took and gave."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help="folder for everything; must not exist")
    parser.add_argument("--steps", default="200")
    parser.add_argument("--workers", default="auto")
    given = parser.parse_args()
    given.work.mkdir(parents=True)
    write_concept(given.work / "nines", split(read_handwriting(), "base", "demo"), 0)
    command = [
        sys.executable, "-m", "scumble", "sweep", str(given.work / "nines"), "--base", "mini", "--steps", given.steps,
        "--batch-size", "16", "--learning-rate", "6e-3", "--snr-gamma", "5", "--workers", given.workers,
        "--output-dir", str(given.work), "--cache-dir", str(given.work / "cache"),
    ]  # fmt: skip
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    subprocess.run(command, check=True)
    seconds, after = time.monotonic() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    report = json.loads((given.work / "nines-sweep" / "report.json").read_bytes())
    cores, load = len(os.sched_getaffinity(0)), os.getloadavg()[1]
    result = {
        "date": str(datetime.date.today()),
        "command": f"python bench/sweep.py --steps {given.steps} --workers {given.workers}",
        "hardware": f"{cores} core(s), {platform.machine()}",
        "load of the last 5 minutes": round(load, 1),
        "other work ran beside it": load > cores + 1,
        "versions": {"torch": version("torch")},
        "clock seconds": round(seconds),
        "processor seconds": round(processor),
        "seconds when idle, at least": round(processor / cores),
        "limit seconds": LIMIT_SECONDS,
        "budget": report["budget"],
        "recommended": report["reason"],
        "cells": [cell(record, report["numbers"].get(record["name"], [])) for record in report["records"]],
    }
    text = json.dumps(result, indent=1)
    print(text)
    place = Path(__file__).parent / "results" / f"{result['date']}-sweep-{given.steps}-steps.json"
    place.write_text(text + "\n", encoding="utf-8")


def cell(record: dict[str, Any], numbers: list[dict[str, Any]]) -> dict[str, Any]:
    """What a result keeps of a cell: its losses, its file's hash, and each number beside the base's."""
    losses = [round(loss, 5) for _, loss in record["validations"]]
    return {
        "cell": record["words"],
        "loss": {"before": losses[0], "after": losses[-1], "lowest": min(losses)},
        "seconds": round(record["seconds"]),
        "sha256": record["best_sha256"],
        "numbers": {
            each["name"]: [round(each["value"], 4), each["of_base"] and round(each["of_base"], 4)] for each in numbers
        },
    }


if __name__ == "__main__":
    main()

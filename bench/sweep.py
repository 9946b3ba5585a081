"""The usual rank sweep on the model in the box, from its pictures to its report: seconds by the clock and of the processors.

    python bench/sweep.py --work FOLDER [--steps 200] [--workers auto]

On a busy machine the clock says little: the processors' seconds, divided by the cores, are what an idle one needs at least.
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
from pathlib import Path

from scumble.mini.handwriting import read_handwriting, split
from scumble.mini.lessons import write_concept

LIMIT_SECONDS = 12 * 60


def main() -> None:
    """Make the pictures, run the sweep, print a line of Markdown and the cells."""
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
    cores = os.cpu_count() or 1
    print(
        f"\n{datetime.date.today()}, {platform.machine()}, {cores} cores, load {os.getloadavg()[1]:.1f} of the last 5 minutes"
    )
    print("\n| cells | steps each | clock | processors | idle, at least | limit |\n|---|---|---|---|---|---|")
    print(
        f"| {report['done']} | {given.steps} | {seconds:.0f} s | {processor:.0f} s | {processor / cores:.0f} s | "
        f"{LIMIT_SECONDS} s |\n"
    )
    for record in report["records"]:
        print(f"- {record['words']}: {record['best_sha256']}")
    print(f"\n{report['reason']}")


if __name__ == "__main__":
    main()

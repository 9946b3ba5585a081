"""Does the plan tell the truth? `scumble train --dry-run` beside the real run: peak memory and time, as ratios.

Plans and real runs take turns, each a process of its own, on the model in the box, or on a base that is given, such as the
one of full size with random weights that bench/full_size_sd15.py writes.

    python bench/plan_accuracy.py --work FOLDER [--base FOLDER] [--steps 200] [--rounds 3]

On a busy machine the clock says little, because a plan and its run meet other programs: so the same ratio is also made of
the processors' time, for which OMP_NUM_THREADS=1 is best, and the load is written down. Results go to bench/results/.
"""

import argparse
import dataclasses
import datetime
import json
import os
import pickle
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from harness.pictures import write_pictures

MEMORY_WITHIN, TIME_WITHIN = 0.15, 0.30


def plan_here(arguments: list[str]) -> None:
    """Plan in this process as the command line does, and print what the plan says as JSON."""
    started = time.monotonic()
    from scumble.check.forecast import forecast
    from scumble.check.probe import probe
    from scumble.cli.flags import nested
    from scumble.cli.parser import app
    from scumble.cli.train import TrainFlags
    from scumble.config import TrainConfig, from_values, merged
    from scumble.train.plan import make_plan

    _, bound, _ = app.parse_args(["train", *arguments], exit_on_error=False, print_error=False)
    values = nested(TrainConfig, bound.arguments.get("flags", TrainFlags()))
    plan = make_plan(from_values(TrainConfig, merged(values, {"data": {"folder": bound.arguments["folder"]}})))
    planning_seconds, planning_processor_seconds = time.monotonic() - started, time.process_time()
    measured = probe(plan)
    told = forecast(plan, measured, planning_seconds)
    if told.estimate is None:
        raise SystemExit(measured.problem)
    busy = forecast(plan, in_processor_seconds(plan), planning_processor_seconds)
    figures = {"peak_gb": told.peak_bytes / 1e9, "seconds": told.seconds, "processor_seconds": busy.seconds}
    print(json.dumps({**figures, "a_step": told.estimate.seconds_a_step}))


def in_processor_seconds(plan: Any) -> Any:
    """The miniature of a plan, its times by the processors' clock, which other programs do not stretch as much."""
    from scumble.check.miniature import in_miniature
    from scumble.check.probe import from_json

    code = "import time, scumble.check.probe as probe; probe.monotonic = time.process_time; probe.main()"
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with tempfile.TemporaryDirectory() as folder:
        small = pickle.dumps(in_miniature(plan, Path(folder)))
        said = subprocess.run([sys.executable, "-c", code], input=small, stdout=subprocess.PIPE, check=True).stdout
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    measured = from_json(said.decode().splitlines()[-1])
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return dataclasses.replace(measured, startup_seconds=used - measured.costs.total)


def timed(command: list[str]) -> tuple[dict[str, float], str]:
    """Run a command to its end: seconds, the processors' seconds, peak memory in GB; and what it printed.

    This process imports nothing large, because a child's peak begins with that of its parent.
    """
    started = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    said = process.stdout.read()
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(command)} ended with {status}: nothing is recorded\n{said}")
    figures = {
        "seconds": time.monotonic() - started,
        "processor_seconds": used.ru_utime + used.ru_stime,
        "peak_gb": used.ru_maxrss * 1024 / 1e9,
    }
    return figures, said


def one_round(work: Path, arguments: list[str]) -> dict[str, Any]:
    """A plan, then the run that it is of, both with an empty cache."""
    flags = [*arguments, "--output-dir", str(work / "runs"), "--cache-dir", str(work / "cache")]
    shutil.rmtree(work / "cache", ignore_errors=True)
    planning, said = timed([sys.executable, __file__, "--plan", json.dumps(flags)])
    real, _ = timed([sys.executable, "-m", "scumble", "train", *flags, "--overwrite"])
    told = json.loads(said.splitlines()[-1])
    return {
        "told": told,
        "real": real,
        "planning_seconds": planning["seconds"],
        "load": os.getloadavg()[0],
        "memory_ratio": told["peak_gb"] / real["peak_gb"],
        "time_ratio": told["seconds"] / real["seconds"],
        "processor_time_ratio": told["processor_seconds"] / real["processor_seconds"],
    }


def rounded(value: Any) -> Any:
    """The same with few digits."""
    if isinstance(value, float):
        return round(value, 3)
    return {key: rounded(each) for key, each in value.items()} if isinstance(value, dict) else value


def main() -> None:
    """Write the pictures if needed, take turns, record the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plan", help=argparse.SUPPRESS)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--base", default="mini")
    parser.add_argument("--resolution", type=int)
    parser.add_argument("--precision", choices=["no", "bf16"], default="no")
    parser.add_argument("--pictures", type=int, default=24)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    if options.plan:
        plan_here(json.loads(options.plan))
        return
    side = options.resolution or 64
    pictures = options.work / f"pictures-{side}-{options.pictures}"
    write_pictures(pictures, options.pictures, side)
    arguments = [str(pictures), "--base", options.base, "--max-train-steps", str(options.steps), "--name", "plan"]
    arguments += ["--resolution", str(side), "--mixed-precision", options.precision, "--device", "cpu"]
    rounds = [one_round(options.work, arguments) for _ in range(options.rounds)]
    names = ("memory_ratio", "time_ratio", "processor_time_ratio")
    memory, duration, processors = (statistics.median(each[name] for each in rounds) for name in names)
    base = Path(options.base).name
    result = {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "what": f"{base}, {options.pictures} pictures of {side} px, {options.steps} steps, {options.precision}, CPU",
        "hardware": f"{os.cpu_count()} cores, {platform.processor() or platform.machine()}; shared with other programs",
        "median_memory_ratio": memory,
        "median_time_ratio": duration,
        "median_processor_time_ratio": processors,
        "memory_within_15_percent": abs(memory - 1) <= MEMORY_WITHIN,
        "time_within_30_percent": abs(duration - 1) <= TIME_WITHIN,
        "processor_time_within_30_percent": abs(processors - 1) <= TIME_WITHIN,
        "rounds": [rounded(each) for each in rounds],
    }
    path = Path(__file__).parent / "results" / f"{result['date']}-plan-accuracy-{base}.json"
    path.write_text(json.dumps(rounded(result), indent=1) + "\n", encoding="utf-8")
    print(json.dumps(rounded(result), indent=1))


if __name__ == "__main__":
    main()

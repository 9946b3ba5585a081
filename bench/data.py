"""How fast pictures are scanned and checked, beside Pillow only decoding them.

    python bench/data.py --work FOLDER [--counts 100 1000 10000 100000]

Pictures a second and core beside Pillow's bare decode of the same files in as many processes; how time and memory grow with
the number of pictures (of 192 px, one folder for each count, the files linked), and whether a second run opens any.
"""

import argparse
import json
import multiprocessing
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from harness.command import run_bench
from harness.growth import exponent
from harness.peers import versions
from harness.photographs import SETS, write_photographs
from harness.pictures import write_pictures
from harness.plot import curves
from harness.processes import measured
from harness.result import Goal, Result
from harness.turns import in_turns, ratio, spread

SMALL_PX = 192
LEAST = 0.85
TIMES = "Seconds are of the processors: other programs ran beside, and clock times are theirs too."
RATES = (
    TIMES,
    "A scan reads every byte of every file, checks it, hashes it and looks at it; of a JPEG twice as large as the look needs, or "
    "larger, it computes fewer pixels than the bare decode.",
    "A check lints captions, finds near duplicates and writes its page besides; its time includes what does not grow with the "
    "pictures.",
)
GROWTH = (TIMES, f"Pictures of {SMALL_PX} x {SMALL_PX} px, where all that is not decoding weighs most.")
FLAT = 1.1
RUNS = ("first check", "second check", "second scan")
CORES = len(os.sched_getaffinity(0))


def decode_one(path: str) -> float:
    """Pillow decodes a picture; the processor seconds of this process for it."""
    from PIL import Image

    began = time.process_time()
    with Image.open(path) as image:
        image.convert("RGB")
    return time.process_time() - began


def decode(folder: Path) -> dict[str, float]:
    """Every picture, in as many processes as there are cores."""
    paths = [str(path) for path in sorted(folder.iterdir()) if path.suffix != ".txt"]
    with multiprocessing.get_context("fork").Pool(CORES) as pool:
        pool.map(decode_one, paths[:CORES])
        began = time.monotonic()
        used = sum(pool.imap_unordered(decode_one, paths, chunksize=16))
        return {"seconds": time.monotonic() - began, "processor": used}


def timed(work: Callable[[], object]) -> dict[str, float]:
    """What a piece of work takes on the clock and of the processors."""
    began, used = time.monotonic(), time.process_time()
    work()
    return {"seconds": time.monotonic() - began, "processor": time.process_time() - used}


def scan(folder: Path, cache: Path) -> dict[str, float]:
    """What training looks at first."""
    from scumble.data.pictures import USUAL
    from scumble.data.scan import result_of, survey
    from scumble.data.seen import SeenPictures

    return timed(lambda: result_of(survey(folder, None, SeenPictures(cache, folder, USUAL))))


def check(folder: Path, cache: Path) -> dict[str, float]:
    """All of `scumble check`, its page included, without a base."""
    from scumble.check.run import check as run
    from scumble.config import CheckConfig

    data = {"folder": folder, "trigger": "sks", "cache_dir": cache}
    config = CheckConfig.model_validate({"data": data, "report": {"report": cache.with_suffix(".html")}})
    return timed(lambda: [None for _ in run(config)])


def parts(folder: Path) -> dict[str, float]:
    """Milliseconds of the processor a picture for each part of a scan, one thread, the best of three."""
    from scumble.data.content import hash_file
    from scumble.data.pictures import USUAL, decode_small
    from scumble.data.quality import LOOK_PX, look_at

    paths = [path for path in sorted(folder.iterdir()) if path.suffix != ".txt"][:40]
    images = [decode_small(path, USUAL, LOOK_PX)[0] for path in paths]
    steps: dict[str, Callable[[], object]] = {
        "Pillow's bare decode": lambda: [decode_one(str(path)) for path in paths],
        "decoding, with all checks": lambda: [decode_small(path, USUAL, LOOK_PX) for path in paths],
        "the hash of the file": lambda: [hash_file(path) for path in paths],
        "the look (sharpness, greys, pattern, colours)": lambda: [look_at(image) for image in images],
    }
    return {
        name: round(1e3 * min(timed(work)["processor"] for _ in range(3)) / len(paths), 2)
        for name, work in steps.items()
    }


def rates(work: Path, count: int, rounds: int) -> tuple[list[dict], list[Goal]]:
    """Pictures a second beside Pillow's decode, in turns."""
    rows, goals = [], []
    for name, (sizes, suffix) in SETS.items():
        folder = write_photographs(work / name.replace(" ", "-").replace(",", ""), count, sizes, suffix)
        ways = {"Pillow, bare decode": lambda folder, _: decode(folder), "scumble scan": scan, "scumble check": check}
        clock: dict[str, list[float]] = {way: [] for way in ways}

        def turn(way: str, folder: Path = folder, ways=ways, clock=clock) -> float:
            with tempfile.TemporaryDirectory(dir=work) as cache:
                took = ways[way](folder, Path(cache) / "cache")
            clock[way].append(took["seconds"])
            return took["processor"]

        taken = in_turns({way: (lambda way=way: turn(way)) for way in ways}, rounds, warm_up=1)
        bare = taken["Pillow, bare decode"]
        spent = ", ".join(f"{part} {value}" for part, value in parts(folder).items())
        for way, used in taken.items():
            share = ratio(bare, used)
            rows.append(
                {
                    "pictures": name,
                    "way": way,
                    "a core second": round(count / spread(used).median, 1),
                    "of the bare decode": str(share),
                    "a second on the clock": round(count / spread(clock[way][1:]).median, 1),
                    "of it, on the clock": str(ratio(clock["Pillow, bare decode"][1:], clock[way][1:])),
                }
            )
            if way != "Pillow, bare decode":
                why = "" if share.median >= LEAST else f"milliseconds a picture: {spent}"
                if why and way == "scumble check":
                    besides = 1e3 * (spread(used).median - spread(taken["scumble scan"]).median) / count
                    why += f"; what a check does besides a scan (lint, near duplicates, page) {besides:.2f}"
                what = f"{way}, {name}: pictures a core and second, of Pillow's bare decode"
                goals.append(Goal.of(what, LEAST, share, at_least=True, why=why))
    return rows, goals


def one(way: str, folder: Path, cache: Path) -> dict[str, float]:
    """One way in a process of its own: time, peak memory, picture files that were opened."""
    opened: set[str] = set()

    def watch(event: str, arguments: tuple) -> None:
        if event == "open" and str(arguments[0]).endswith(".jpg"):
            opened.add(str(arguments[0]))

    from scumble.check import run  # noqa: F401 - importing is not what is measured
    from scumble.config import CheckConfig  # noqa: F401

    start = peak_mb()
    sys.addaudithook(watch)
    took = check(folder, cache) if way == "check" else scan(folder, cache)
    return {**took, "start mb": start, "peak mb": peak_mb(), "opened": len(opened)}


def peak_mb() -> float:
    """Most memory that this process had at once; getrusage would tell its parent's where that is more."""
    status = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1024


def linked(folder: Path, source: Path, count: int) -> Path:
    """The first so many pictures of another folder, and their captions, without room of their own."""
    if not folder.exists():
        folder.mkdir()
        for index in range(count):
            for suffix in ("jpg", "txt"):
                os.link(source / f"{index:06d}.{suffix}", folder / f"{index:06d}.{suffix}")
    return folder


def growth(work: Path, counts: list[int]) -> tuple[list[dict], list[Goal], dict[str, list[tuple[float, float]]]]:
    """Time and memory over the number of pictures, first and second run."""
    source = write_pictures(work / f"small-{max(counts)}", max(counts), SMALL_PX, "jpg")
    rows = []
    for count in counts:
        folder = source if count == max(counts) else linked(work / f"linked-{count}", source, count)
        cache = work / f"cache-{count}"
        shutil.rmtree(cache, ignore_errors=True)
        bare = decode(folder)
        row = {"pictures": count, "decode, core s": round(bare["processor"], 2)}
        for run in RUNS:
            command = [sys.executable, __file__, "--work", work, "--only", run.split()[1], folder, cache]
            took = json.loads(measured(command).output.splitlines()[-1])
            row |= {f"{run}, core s": round(took["processor"], 2), f"{run}, s": round(took["seconds"], 2)}
            row |= {f"{run}, MB": round(took["peak mb"]), f"{run}, opened": took["opened"]}
        row["start MB"] = round(took["start mb"])
        rows.append(row)
        print(row, flush=True)
    lines = {name: [(row["pictures"], row[f"{name}, core s"]) for row in rows] for name in ("decode", *RUNS)}
    return rows, _goals_of_growth(rows, lines), lines


def _goals_of_growth(rows: list[dict], lines: dict[str, list[tuple[float, float]]]) -> list[Goal]:
    large = {name: [point for point in points if point[0] >= 1000] for name, points in lines.items()}
    most = rows[-1]
    goals = []
    if len(large["first check"]) > 1:
        goals += [
            Goal(
                f"{name}: exponent of processor time over pictures, from 1,000",
                1.0,
                fit.exponent,
                max(0.03, fit.residual),
            )
            for name in ("first check", "second check")
            for fit in [exponent(large[name])]
        ]
    per_picture = (
        (most["first check, MB"] - rows[0]["first check, MB"]) * 1e6 / (most["pictures"] - rows[0]["pictures"])
    )
    goals += [
        Goal(
            "picture files that a second check opens, of all counts",
            0,
            max(row["second check, opened"] for row in rows),
        ),
        Goal("memory of a check per picture, kB", 4.0, round(per_picture / 1e3, 2)),
        Goal(
            f"peak memory of a check, {most['pictures']:,} pictures beside {rows[0]['pictures']:,}",
            FLAT,
            round(most["first check, MB"] / rows[0]["first check, MB"], 3),
            why="what is known of every picture (name, size, caption, what it resembles, findings) stays in memory until the "
            "page is written; 10,000 pictures add a twentieth",
        ),
        *(
            Goal(
                f"{name}, {most['pictures']:,} pictures: processor seconds, of decoding them all",
                1.0,
                round(most[f"{name}, core s"] / most["decode, core s"], 3),
                why="no picture is opened: of each the file is asked for its size and time, its caption is read from a file of "
                "its own, and both are held against what the index says; these pictures are so small that decoding one takes "
                "a third of a millisecond",
            )
            for name in RUNS[1:]
        ),
    ]
    return goals


def main() -> None:
    """Measure, write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder for pictures and caches, kept")
    parser.add_argument("--counts", type=int, nargs="+", default=[100, 1000, 10_000, 100_000])
    parser.add_argument("--photographs", type=int, default=150, help="of each kind")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--part", nargs="+", choices=["rates", "growth"], default=["rates", "growth"])
    parser.add_argument("--only", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.only:
        way, folder, cache = arguments.only
        print(json.dumps(one(way, Path(folder), Path(cache))))
        return
    arguments.work.mkdir(parents=True, exist_ok=True)
    if "rates" in arguments.part:
        rows, goals = rates(arguments.work, arguments.photographs, arguments.rounds)
        question = "How fast are pictures scanned and checked beside Pillow only decoding them?"
        Result("data", question, rows, goals, RATES, versions("pillow", "numpy", "torch")).write()
    if "growth" in arguments.part:
        rows, goals, lines = growth(arguments.work, sorted(arguments.counts))
        memory = {name: [(row["pictures"], row[f"{name}, MB"]) for row in rows] for name in RUNS}
        panels = {"processor seconds": lines, "peak memory, MB": memory}
        curves("data-growth", "Scanning and checking over the number of pictures", "pictures", panels)
        question = "How do time and memory of a check grow with the number of pictures?"
        Result("data-growth", question, rows, goals, GROWTH, versions("pillow", "numpy", "torch")).write()


if __name__ == "__main__":
    run_bench(main)

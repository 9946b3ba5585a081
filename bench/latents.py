"""How fast latents are cached, beside sd-scripts, and how fast they are found again.

    python bench/latents.py --base mini|FOLDER --side-px 256 --sd-scripts CHECKOUT --sd-python PYTHON

Both encode the same photographs with the same autoencoder, one at a time, and write each to the disk; sd-scripts with its own
class, in the interpreter of its own installation (it asks for older diffusers and transformers). Processor seconds of one
thread, without imports and loading.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from harness.command import run_bench
from harness.peers import commit_of, missing_checkout, versions
from harness.photographs import SETS, write_photographs
from harness.plot import bars
from harness.processes import measured
from harness.result import Goal, Result
from harness.turns import in_digits, in_turns, ratio, spread

SIDES = Path(__file__).with_name("sides")
PHOTOGRAPHS = "photographs of 0.4 megapixels, JPEG"
SAID = "processor seconds: "
ONE_THREAD = {"OMP_NUM_THREADS": "1"}


def seconds_of(command: list[str | Path]) -> float:
    """What a side says of itself."""
    output = measured(command, ONE_THREAD).output
    return float(next(line for line in output.splitlines() if line.startswith(SAID)).removeprefix(SAID))


def main() -> None:
    """Measure and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", default="mini", help="the model in the box, or a folder whose autoencoder encodes")
    parser.add_argument("--side-px", type=int, default=64)
    parser.add_argument("--pictures", type=int, default=48)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sd-scripts", type=Path)
    parser.add_argument("--sd-python", type=Path, help="interpreter with the packages that sd-scripts asks for")
    parser.add_argument("--why", default="", help="what to say of a goal that is not met")
    asked = parser.parse_args()
    import scumble

    box = Path(scumble.__file__).parent / "mini" / "weights"
    base = box if asked.base == "mini" else Path(asked.base)
    missing = missing_checkout(asked.sd_scripts, "--sd-scripts", "library/strategy_sd.py")
    if missing is None and asked.sd_python is None:
        missing = "missing: no interpreter was given (--sd-python PYTHON)"
    with tempfile.TemporaryDirectory() as work:
        pictures = write_photographs(Path(work) / "pictures", asked.pictures, *SETS[PHOTOGRAPHS])
        kept = Path(work) / "kept"
        ours: list[str | Path] = [
            sys.executable,
            SIDES / "latents_of_ours.py",
            pictures,
            asked.base,
            str(asked.side_px),
        ]
        theirs: list[str | Path] = [
            *(asked.sd_python, SIDES / "latents_of_sd_scripts.py", asked.sd_scripts, pictures, base, str(asked.side_px))
        ]
        seconds_of([*ours, kept])

        def anew(command: list[str | Path]) -> Callable[[], float]:
            def turn() -> float:
                with tempfile.TemporaryDirectory(dir=work) as out:
                    return seconds_of([*command, out])

            return turn

        sides = {"scumble": anew(ours), "scumble, found again": lambda: seconds_of([*ours, kept, "again"])}
        if missing is None:
            sides["sd-scripts"] = anew(theirs)
        taken = in_turns(sides, asked.rounds)
    rows = [
        {
            "side": name,
            "pictures a processor second": in_digits(asked.pictures / spread(found).median),
            "milliseconds a picture": in_digits(1e3 * spread(found).median / asked.pictures),
            "scumble / it": str(ratio(taken["scumble"], found)),
        }
        for name, found in taken.items()
    ]
    goal = "time to cache latents, scumble / sd-scripts"
    if missing is not None:
        rows.append({"side": "sd-scripts", "pictures a processor second": missing})
        goals = [Goal(goal, 1.0, None, why=missing)]
    else:
        beside = ratio(taken["scumble"], taken["sd-scripts"])
        goals = [Goal.of(goal, 1.0, beside, why=asked.why)]
    used = versions("torch", "diffusers", "pillow")
    if missing is None:
        used |= {"sd-scripts": commit_of(asked.sd_scripts)}
    each = {side: spread([1e3 * value / asked.pictures for value in values]) for side, values in taken.items()}
    name = "mini" if asked.base == "mini" else "sd15"
    notes = [
        f"{asked.pictures} {PHOTOGRAPHS}, cut to {asked.side_px} px, in float32.",
        "sd-scripts as with --highvram, where it is faster: without, it collects garbage after every picture.",
        "scumble keeps mean and deviation of each latent, verifies what it writes, and knows it by the hash of all that it was "
        "computed from; sd-scripts keeps one sample, and knows it by its name.",
    ]
    name = f"latents-{name}-{asked.side_px}px"
    bars(name, f"Caching latents, {asked.side_px} px", "processor milliseconds a picture", each)
    Result(
        name,
        "How fast are latents cached?",
        rows,
        goals,
        notes,
        used,
        1,
        {"taken": taken},
    ).write()


if __name__ == "__main__":
    run_bench(main)

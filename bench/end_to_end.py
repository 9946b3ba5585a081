"""From the start of the process to the LoRA on the disk: `scumble train` beside diffusers' own LoRA script.

    python bench/end_to_end.py mini --diffusers CHECKOUT
    python bench/end_to_end.py bf16 --diffusers CHECKOUT --base FOLDER --steps 6

The same pictures, base folder, steps, rank, targets (q, k, v, out), learning rate and batch of one picture; nothing
is mirrored, every run has empty caches. The peer is examples/text_to_image/train_text_to_image_lora.py of the
checkout, as it is; it needs datasets, torchvision and PEFT. In all but `defaults` what only one of them does is left
out where it can be: checkpoints on the way, sample pictures, validation between the first and the last step. What
scumble always does (a validation before and after, the proof of the file, the report) counts. With --kept FILE each
run is written there as it ends, and those that are there are not made again. sd-scripts'
train_network.py is no side of this: it asks for diffusers 0.32, transformers 4.54 and OpenCV, an installation apart.

`bf16-memory` asks only how much memory two steps take: without instructions for 16 bits they take minutes, and time says nothing.

With fewer steps than 200 the seconds of a run of 200 are worked out, and said to be: those of the run, and for each step
that it lacks what its own steps took on average, by our journal and by the script's progress bar.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from harness.bases import write_sd15
from harness.beside import Values, rows_beside
from harness.command import UnusableError, run_bench
from harness.kept import Kept
from harness.peers import commit_of, missing_checkout, versions
from harness.plot import bars
from harness.processes import Spent
from harness.result import Goal, Result
from harness.turns import Spread, in_turns, ratio, spread
from sides.trainings import OURS, QUIET, SCRIPT, SETTINGS, THEIRS, Case, Run, Setting, run, write_data

Runs = Mapping[tuple[str, int], Sequence[Run]]
"""(side, steps) -> its runs, round by round."""


def run_all(cases: Sequence[Case], rounds: int, kept: Path | None) -> Runs:
    """Every case on both sides, taking turns.

    Args:
        cases: that differ in steps.
        rounds: of all of them.
        kept: file of runs that were made before, of the same setting; gets those that are made now.
    """
    runs: dict[tuple[str, int], list[Run]] = {(side, case.steps): [] for case in cases for side in (OURS, THEIRS)}
    done = Kept(kept)
    own = next(name for name, setting in SETTINGS.items() if setting is cases[0].setting)
    if any(row.get("setting") != own for row in done.rows):
        raise UnusableError(f"{kept}: holds runs of another setting than {own}")
    before = _by_case(done.rows)

    def take(case: Case, side: str) -> float:
        earlier = before.get((side, case.steps))
        if earlier:
            runs[side, case.steps].append(earlier.pop(0))
            return runs[side, case.steps][-1].spent.seconds
        made = run(case, side)
        runs[side, case.steps].append(made)
        done.add(
            {
                "setting": own,
                "side": side,
                "steps": case.steps,
                "to_file": made.seconds_to_file,
                "a_step": made.seconds_a_step,
                **made.spent.figures(),
            }
        )
        return made.spent.seconds

    in_turns({f"{side} {case.steps}": partial(take, case, side) for case in cases for side in (OURS, THEIRS)}, rounds)
    return runs


def _by_case(rows: Sequence[Mapping[str, Any]]) -> dict[tuple[str, int], list[Run]]:
    runs: dict[tuple[str, int], list[Run]] = {}
    for row in rows:
        spent = Spent(row["seconds"], row["processor_seconds"], row["peak_gb"])
        runs.setdefault((row["side"], row["steps"]), []).append(Run(spent, row["to_file"], row["a_step"]))
    return runs


PEAK = "peak, GB"
FIGURES = {
    "seconds to the file": lambda run: run.seconds_to_file,
    "seconds to the end": lambda run: run.spent.seconds,
    "processor seconds": lambda run: run.spent.processor_seconds,
    PEAK: lambda run: run.spent.peak_gb,
    "seconds a step": lambda run: run.seconds_a_step,
}
TIMES = tuple(FIGURES)[:3]
CLOCK = TIMES[:2]
ENOUGH = 0.8
"""Share of a core from which on the clock is worth something."""


def figures(runs: Runs, steps: int, whole: int, more_seconds: float = 0.0) -> dict[str, dict[str, list[float]]]:
    """Figure -> side -> its values, round by round.

    Args:
        runs: of all.
        steps: of the runs that are asked about.
        whole: so many steps, with those that are not made worked out.
        more_seconds: that ours takes besides in so many steps, for validations that the shorter runs do not have.
    """

    def value(side: str, run: Run, name: str) -> float:
        if name not in TIMES or whole == steps:
            return FIGURES[name](run)
        return FIGURES[name](run) + (whole - steps) * run.seconds_a_step + (more_seconds if side == OURS else 0.0)

    return {
        name: {side: [value(side, one, name) for one in runs[side, steps]] for side in (OURS, THEIRS)}
        for name in FIGURES
    }


def share_of_core(runs: Runs) -> float:
    """The smallest share of one core that a run had: far below 1, its clock says how busy the machine was."""
    return min(one.spent.processor_seconds / one.spent.seconds for made in runs.values() for one in made)


def bounds_of(setting: Setting) -> list[tuple[str, float, str]]:
    """What is to be how much of the script's, and the figure that says it."""
    bounds = [(f"{name}, of the script's", setting.time_goal, name) for name in TIMES]
    smaller = "" if setting.time_goal is not None else f", at {setting.side_px} px in place of 256"
    bounds.append((f"peak memory{smaller}, of the script's", setting.memory_goal, PEAK))
    return [(what, limit, name) for what, limit, name in bounds if limit is not None]


def question_of(setting: Setting) -> str:
    """What the bench answers."""
    what = "How much memory" if setting.time_goal is None else "How long"
    return f"{what} does a whole training take, {setting.words}, beside diffusers' script?"


def goals_of(
    setting: Setting, found: Mapping[str, Values], by_clock: Sequence[str], share: float, why: str
) -> list[Goal]:
    """The bounds that were set, on the last figures; what comes off a clock is judged where every run had a core to itself."""
    busy = f"a run had {100 * share:.0f} % of a core: the clock says how busy the machine was"

    def goal(what: str, limit: float, name: str) -> Goal:
        if name in by_clock and share < ENOUGH:
            return Goal(what, limit, None, why=busy)
        value = ratio(found[name][OURS], found[name][THEIRS])
        return Goal.of(what, limit, value, why=why)

    return [goal(what, limit, name) for what, limit, name in bounds_of(setting)]


def _asked(setting: Setting, found: dict[str, Any]) -> dict[str, Any]:
    """Of the figures those that a setting asks about: where it is memory alone, times say nothing."""
    return found if setting.time_goal is not None else {PEAK: found[PEAK]}


def report(asked: argparse.Namespace, setting: Setting, runs: Runs) -> None:
    """Write the result and its plot."""
    ran = sorted({steps for _, steps in runs})
    rows = [
        row
        for steps in ran
        for row in rows_beside(
            _asked(setting, figures(runs, steps, steps)), (OURS, THEIRS), {"steps": steps, "how": "measured"}
        )
    ]
    wanted = figures(runs, ran[-1], max(ran[-1], setting.steps), asked.more_seconds)
    notes = [
        f"{setting.words}; {setting.pictures} pictures of {setting.side_px} px, rank {asked.rank}, batch 1, no mirroring.",
        f"The peer: {SCRIPT} of diffusers {commit_of(asked.diffusers)}, unchanged, with the installed packages.",
    ]
    if share_of_core(runs) < ENOUGH:
        notes.append(
            "Other programs used the machine: clock times say little, processor seconds are somewhat larger on both sides."
        )
    if asked.kept is not None:
        notes.append("Runs of an earlier call, as it noted them, are among these.")
    by_clock = CLOCK if ran[-1] >= setting.steps else TIMES  # steps that are worked out are seconds of a clock
    if ran[-1] < setting.steps:
        rows += rows_beside(wanted, (OURS, THEIRS), {"steps": setting.steps, "how": "worked out"})
        notes.append(
            f"{setting.steps} steps are worked out: those of the runs, and more of the mean of their own steps."
        )
        if asked.more_seconds:
            notes.append(f"Ours has {asked.more_seconds:g} s besides, for validations that so few steps do not have.")
    of = TIMES[2] if setting.time_goal is not None else PEAK  # what the bench asks
    drawn: dict[str, Spread] = {side: spread(wanted[of][side]) for side in (OURS, THEIRS)}
    title = f"From start to end, {setting.words}, {max(ran[-1], setting.steps)} steps"
    bars(f"end-to-end-{asked.setting}", title, of, drawn)
    used = versions("torch", "diffusers", "transformers", "peft", "datasets", "accelerate")
    Result(
        f"end-to-end-{asked.setting}",
        question_of(setting),
        rows,
        goals_of(setting, wanted, by_clock, share_of_core(runs), asked.why),
        notes,
        used,
        asked.threads,
    ).write()


def not_measured(name: str, why: str) -> None:
    """The goals of a setting that this machine cannot run."""
    setting = SETTINGS[name]
    goals = [Goal(what, limit, None, why=why) for what, limit, _ in bounds_of(setting)]
    Result(f"end-to-end-{name}", question_of(setting), [], goals).write()


def main() -> None:
    """Measure one setting."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("setting", choices=SETTINGS)
    parser.add_argument("--diffusers", type=Path, help="checkout of diffusers")
    parser.add_argument(
        "--base", type=Path, help="base folder; none = the model in the box, or made with random weights"
    )
    parser.add_argument("--steps", type=int, nargs="+", help="steps of a run")
    parser.add_argument("--more-seconds", type=float, default=0.0, help="of ours in the steps that are worked out")
    parser.add_argument("--rank", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1, help="of each process")
    parser.add_argument("--kept", type=Path, help="file of runs, read and added to")
    parser.add_argument("--why", default="", help="explanation of goals that are not met")
    parser.add_argument("--not-measured", metavar="WHY", help="write the goals down as not measured, and why")
    asked = parser.parse_args()
    if asked.not_measured:
        not_measured(asked.setting, asked.not_measured)
        return
    os.environ.update(OMP_NUM_THREADS=str(asked.threads), OMP_WAIT_POLICY="passive", **QUIET)
    missing = missing_checkout(asked.diffusers, "--diffusers", SCRIPT)
    if missing:
        sys.exit(f"{THEIRS}: {missing}")
    setting = SETTINGS[asked.setting]
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        base = asked.base or (_box() if asked.setting == "mini" else write_sd15(work / "base"))
        data = write_data(work / "data", setting.pictures, setting.side_px)
        cases = [
            Case(setting, base.resolve(), data, work, asked.diffusers.resolve(), steps, asked.rank)
            for steps in asked.steps or [setting.steps]
        ]
        report(asked, setting, run_all(cases, asked.rounds, asked.kept))


def _box() -> Path:
    import scumble

    return Path(scumble.__file__).parent / "mini" / "weights"


if __name__ == "__main__":
    run_bench(main)

"""The programs, and the process that each runs in."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from reading import RESULTS, VERSIONS


@dataclass(frozen=True)
class Program:
    """A program, or one of its ways to apply a file.

    Attributes:
        name: what results call it.
        module: the file here that runs it.
        checkout: the option that says where it is; "" for an installed package.
        way: one of those that its module knows.
        stated: its name in our statement; "" where that says nothing of this way.
    """

    name: str
    module: str
    checkout: str = ""
    way: str = ""
    stated: str = ""


PROGRAMS = (
    Program("A1111", "in_a1111", "a1111", stated="A1111"),
    Program("ComfyUI", "in_comfyui", "comfyui", stated="ComfyUI"),
    Program("diffusers", "in_diffusers", stated="diffusers"),
    Program("sd-scripts", "in_sd_scripts", "sd_scripts", "merged", "sd-scripts"),
    Program("LyCORIS", "in_lycoris", way="run", stated="LyCORIS"),
    Program("sd-scripts, run", "in_sd_scripts", "sd_scripts", "run"),
    Program("LyCORIS, merged", "in_lycoris", way="merged"),
    Program("LyCORIS, as it is", "in_lycoris", way="as it is"),
)


@dataclass(frozen=True)
class Outcome:
    """What a program did with the files of one family.

    Attributes:
        folder: of the files with its changes.
        results: case -> error and what it said; see `reading.run`.
        versions: of the program and what it needs.
    """

    folder: Path
    results: Mapping[str, Mapping[str, object]]
    versions: Mapping[str, str]


def run_program(
    program: Program, family: str, paths: Mapping[str, Path], work: Path, checkout: Path | None, packages: Path | None
) -> Outcome:
    """Let a program read files in a process of its own.

    Args:
        program: which.
        family: of the base in `work`.
        paths: case -> file.
        work: the bench's folder.
        checkout: of the program.
        packages: folder that goes to the front of sd-scripts' path and to the end of the others'.
    Raises:
        RuntimeError: the process failed before it read a file.
    """
    out = work / "out" / program.name.replace(", ", "-") / family
    out.mkdir(parents=True, exist_ok=True)
    order = {
        "module": program.module,
        "way": program.way,
        "family": family,
        "work": str(work),
        "out": str(out),
        "checkout": str(checkout or ""),
        "packages": str(packages or ""),
        "paths": {case: str(path) for case, path in paths.items()},
    }
    (out / "order.json").write_text(json.dumps(order), encoding="utf-8")
    front = {"PYTHONPATH": str(packages)} if program.checkout == "sd_scripts" and packages else {}
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("child.py")), str(out / "order.json")],
        env={**os.environ, **front}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    (out / "log.txt").write_text(done.stdout + done.stderr, encoding="utf-8")
    if done.returncode != 0:
        raise RuntimeError(f"{program.name} did not start:\n{done.stderr[-2000:]}")
    results = json.loads((out / RESULTS).read_text(encoding="utf-8"))
    return Outcome(out, results, json.loads((out / VERSIONS).read_text(encoding="utf-8")))

"""What other programs really make of a LoRA file, layer by layer, beside the exact change and what scumble says of them.

Small files of every algorithm and spelling are written for narrow bases with random weights: the blocks and names of the
real architectures. Each program reads them with its own code in a process of its own; A1111, ComfyUI and sd-scripts
are checkouts that you have, diffusers and LyCORIS are installed packages. Nothing is downloaded.

    python bench/other_programs --a1111 CHECKOUT --comfyui CHECKOUT --sd-scripts CHECKOUT --sd-scripts-packages FOLDER
        [--packages FOLDER] [--only PROGRAM ...] [--case NAME] [--work FOLDER]

--packages is a folder of what ComfyUI needs beside torch (einops, torchsde, trampoline, av, psutil);
--sd-scripts-packages goes to the front of sd-scripts' path, for its older transformers and diffusers. A program
whose checkout is not given is said to be missing. The whole run goes to bench/results/; a part of it is only printed.
"""

import argparse
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import torch
from base_models import FAMILIES, Base, open_base, write_bases
from case import WEIGHTS, Case, exact_changes, write_case
from cases import CASES
from figures import figures, unequal
from programs import PROGRAMS, Outcome, Program, run_program
from reading import changes_name
from record import Row, as_table, write_results
from safetensors.torch import load_file
from statement import Changes, Statements
from torch import Tensor

from scumble.errors import ScumbleError

CHECKOUTS = ("a1111", "comfyui", "sd_scripts")


def row_of(case: Case, program: Program, outcome: Outcome, exact: Mapping[str, Tensor], stated: Changes | str) -> Row:
    """The record of one program on one file.

    Args:
        case: the file.
        program: which.
        outcome: what it did.
        exact: canonical key -> change that the file means.
        stated: the changes that we state, or why we state none.
    """
    found = load_file(outcome.folder / changes_name(case.name))
    row = {
        "family": case.family,
        "case": case.name,
        "program": program.name,
        **figures(found, exact),
        **outcome.results[case.name],
    }
    if not program.stated:
        return {**row, "statement": None, "agrees": None}
    if isinstance(stated, str):
        return {**row, "statement": stated, "agrees": False}
    differing = unequal(found, stated, exact)
    extra = {"differing layers": len(differing), "for instance": differing[0]} if differing else {}
    return {**row, "statement": figures(stated, exact), "agrees": not differing, **extra}


def stated_of(statements: Statements, path: Path) -> Mapping[str, Changes] | str:
    """What we state of each program, or why we cannot read the file."""
    try:
        return statements.of(path.parent if path.name == WEIGHTS else path)
    except ScumbleError as error:
        return f"{type(error).__name__}: {error}".replace(str(path.parent), "FOLDER")[:160]


def run_family(
    family: str, cases: list[Case], programs: list[Program], options: argparse.Namespace
) -> tuple[list[Row], dict[str, Mapping[str, str]]]:
    """Every program on every file of a family: the rows, and the versions of the programs."""
    base: Base = open_base(options.work, family)
    files = options.work / "files"
    files.mkdir(exist_ok=True)
    paths = {case.name: write_case(case, base, files) for case in cases}
    statements = Statements(base.folder, {program.stated for program in programs if program.stated})
    rows, versions, outcomes = [], {}, {}
    for program in programs:
        checkout = getattr(options, program.checkout) if program.checkout else None
        packages = options.sd_scripts_packages if program.checkout == "sd_scripts" else options.packages
        outcomes[program] = run_program(program, family, paths, options.work, checkout, packages)
        if program.stated:  # its other ways are of the same version
            versions[program.name] = outcomes[program].versions
        print(f"{family}: {program.name} read {len(cases)} files", file=sys.stderr, flush=True)
    for case in cases:
        exact, stated = exact_changes(case, base), stated_of(statements, paths[case.name])
        for program, outcome in outcomes.items():
            ours = stated if isinstance(stated, str) else stated.get(program.stated, {})
            rows.append(row_of(case, program, outcome, exact, ours))
    return rows, versions


def options_of(arguments: list[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in (*CHECKOUTS, "sd_scripts_packages", "packages", "work"):
        parser.add_argument(f"--{name.replace('_', '-')}", type=lambda text: Path(text).resolve())
    parser.add_argument("--only", nargs="+", choices=[program.name for program in PROGRAMS])
    parser.add_argument("--case", choices=sorted({case.name for case in CASES}))
    return parser.parse_args(arguments)


def main() -> None:
    """Make the bases and the files, run everybody, record the figures."""
    options = options_of(sys.argv[1:])
    torch.set_num_threads(1)
    wanted = [program for program in PROGRAMS if options.only is None or program.name in options.only]
    present = [program for program in wanted if not program.checkout or getattr(options, program.checkout)]
    missing = [program.name for program in wanted if program not in present]
    cases = [case for case in CASES if options.case in (None, case.name)]
    with tempfile.TemporaryDirectory() as temporary:
        options.work = options.work or Path(temporary).resolve()
        write_bases(options.work)
        rows: list[Row] = []
        versions: dict[str, Mapping[str, str]] = {}
        for family in FAMILIES:
            own = [case for case in cases if case.family == family]
            if own:
                more, versions = run_family(family, own, present, options)
                rows += more
    print(as_table(rows))
    print(*(f"{name}: missing, no checkout was given" for name in missing), sep="\n")
    if options.only is None and options.case is None:
        write_results(rows, versions, missing)


if __name__ == "__main__":
    main()

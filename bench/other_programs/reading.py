"""What a program's module offers, and the run of one program on many files in a process of its own."""

import json
import logging
import sys
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from base_models import Base
from safetensors.torch import save_file
from torch import Tensor

Read = Callable[[Path], Mapping[str, Tensor]]
"""A file's path -> canonical key -> weight of the layer afterwards; keys that the program cannot have changed may lack."""


@dataclass(frozen=True)
class Options:
    """How a program is run.

    Attributes:
        checkout: where it is.
        packages: folder of packages that it needs beside those of this environment.
        way: which of its ways to apply a file.
    """

    checkout: Path | None
    packages: Path | None
    way: str

    def extend_path(self, *inside: str) -> None:
        """Make the checkout, and folders inside it, importable before all else, and the packages after all else."""
        assert self.checkout is not None
        sys.path[:0] = [str(self.checkout), *(str(self.checkout / folder) for folder in inside)]
        sys.path += [str(self.packages)] if self.packages else []


RESULTS, VERSIONS = "results.json", "versions.json"
MOST_SIGNS = 120
"""Of an error or a line of a log that are kept."""


class Said(logging.Handler):
    """Notes what a program says while it reads: the warnings and errors of its log."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Note a line."""
        self.lines.append(record.getMessage())


def run(base: Base, paths: Mapping[str, Path], read: Read, out: Path) -> None:
    """Read every file and write down what came of it.

    Args:
        base: the model; its weights before.
        paths: case -> file.
        read: the program.
        out: folder; gets `changes_name(case)` with canonical key -> change for each changed layer, and results.json.
    """
    said = Said()
    for name in ("", *logging.root.manager.loggerDict):
        if name == "" or not logging.getLogger(name).propagate:
            logging.getLogger(name).addHandler(said)
    results: dict[str, dict[str, object]] = {}
    for case, path in paths.items():
        said.lines.clear()
        error: str | None = None
        after: Mapping[str, Tensor] = {}
        try:
            with warnings.catch_warnings(), torch.no_grad():
                warnings.simplefilter("ignore")
                after = read(path)
        except Exception as reason:  # noqa: BLE001 - whatever a program raises is its result
            error = _one_line(f"{type(reason).__name__}: {reason}", path)
        changes = {key: weight.detach().float() - base.weights[key] for key, weight in after.items()}
        changes = {key: change.contiguous() for key, change in changes.items() if change.count_nonzero()}
        save_file(changes, out / changes_name(case))
        results[case] = {"error": error, "log lines": len(said.lines)}
        if said.lines:
            results[case]["log begins"] = _one_line(said.lines[0], path)
    (out / RESULTS).write_text(json.dumps(results), encoding="utf-8")


def changes_name(case: str) -> str:
    """A case as the name of a file."""
    return "".join(sign if sign.isalnum() else "-" for sign in case) + ".safetensors"


def _one_line(text: str, path: Path) -> str:
    """The beginning, without the folder of the file."""
    return text.strip().partition("\n")[0].replace(str(path.parent), "FOLDER")[:MOST_SIGNS]

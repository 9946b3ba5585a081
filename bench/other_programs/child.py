"""The process of one program: reads all files of one family. Started by the bench, not by a person."""

import importlib
import json
import os
import sys
from pathlib import Path

os.environ.update(
    OMP_NUM_THREADS="1", HF_HUB_OFFLINE="1", TRANSFORMERS_VERBOSITY="error", DIFFUSERS_VERBOSITY="warning"
)

from base_models import open_base
from reading import VERSIONS, Options, run


def main() -> None:
    """Carry out the order in the file that the first argument names."""
    order = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    checkout, packages = (Path(order[name]) if order[name] else None for name in ("checkout", "packages"))
    options = Options(checkout, packages, order["way"])
    program = importlib.import_module(order["module"])
    base, out = open_base(Path(order["work"]), order["family"]), Path(order["out"])
    (out / VERSIONS).write_text(json.dumps(program.versions(options)), encoding="utf-8")
    paths = {case: Path(path) for case, path in order["paths"].items()}
    run(base, paths, program.reader(base, options), out)


if __name__ == "__main__":
    main()

"""The runs in a folder, the newest first, and what lies there besides."""

import datetime
from pathlib import Path

from scumble.errors import CheckpointError
from scumble.runs.read import Run, is_run, read_run

SWEEP_STATE = "sweep.json"
"""By this file the folder of a sweep is known."""

LONG_AGO = datetime.datetime.min.replace(tzinfo=datetime.UTC)


def find_runs(folder: Path) -> tuple[list[Run], list[str]]:
    """The runs of a folder, the one that was last at work first, and a line for each other folder in it.

    Raises:
        CheckpointError: there is no such folder.
    """
    if not folder.is_dir():
        raise CheckpointError(f"{folder}: no such folder; scumble train makes it, or name the --output-dir of the runs")
    runs, others = [], []
    for place in sorted(place for place in folder.iterdir() if place.is_dir() and not place.name.startswith(".")):
        try:
            if is_run(place):
                runs.append(read_run(place))
            else:
                others.append(f"{place.name}: {_what_instead(place) or 'no run'}")
        except OSError as error:
            others.append(f"{place.name}: {error}")
    return sorted(runs, key=lambda run: run.seen or LONG_AGO, reverse=True), others


def find_run(asked: Path) -> Path | None:
    """The folder of one run, if that is what is asked for: by its path, or by its name among the runs in `runs`."""
    return next((place for place in (asked, Path("runs") / asked) if place.is_dir() and is_run(place)), None)


def run_folder(asked: Path) -> Path:
    """The folder of a run that is named by its path or its name.

    Raises:
        CheckpointError: there is none.
    """
    found = find_run(asked)
    if found is None:
        instead = _what_instead(asked)
        raise CheckpointError(
            f"{asked}: {instead}"
            if instead
            else f"{asked}: no run there, nor one of that name in runs; scumble runs lists those there are"
        )
    return found


def _what_instead(folder: Path) -> str:
    """What a folder that is no run is, where that is known."""
    if not (folder / SWEEP_STATE).is_file():
        return ""
    page = folder / "report.html"
    return f"a sweep, of which {page if page.is_file() else 'scumble sweep'} tells"

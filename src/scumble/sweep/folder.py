"""The folder of a sweep: what lies in it, and that only one process leads it."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from scumble.config import TrainConfig
from scumble.errors import CheckpointError
from scumble.files.atomic import write_atomically
from scumble.runs.find import SWEEP_STATE
from scumble.runs.read import is_run
from scumble.train.ahead import name_of


@dataclass(frozen=True)
class SweepFolder:
    """Where the parts of a sweep lie; each cell has a run folder of its own beside them."""

    path: Path

    @property
    def lock(self) -> Path:
        """Held by the process that leads the sweep."""
        return self.path / ".lock"

    @property
    def settings(self) -> Path:
        """The sweep's settings: the same sweep again."""
        return self.path / "sweep.toml"

    @property
    def state(self) -> Path:
        """What the first start decided, and the later ones keep to."""
        return self.path / SWEEP_STATE

    @property
    def journal(self) -> Path:
        """What happened and when, as JSON lines."""
        return self.path / "sweep.jsonl"

    @property
    def study(self) -> Path:
        """What Optuna knows."""
        return self.path / "optuna.log"

    @property
    def logs(self) -> Path:
        """What the processes of the cells printed."""
        return self.path / "logs"

    @property
    def grid(self) -> Path:
        """The pictures side by side."""
        return self.path / "sweep.png"

    @property
    def curves(self) -> Path:
        """The validation losses in one plot."""
        return self.path / "curves.png"

    @property
    def report(self) -> Path:
        """The page."""
        return self.path / "report.html"

    @property
    def figures(self) -> Path:
        """The page's figures, for programs."""
        return self.path / "report.json"

    def keep_threads(self, threads: int) -> int:
        """Threads of each cell: what the first start chose. With others the same training ends in other last digits."""
        if self.state.exists():
            return int(json.loads(self.state.read_bytes())["threads"])
        write_atomically(self.state, json.dumps({"threads": threads}).encode())
        return threads


def folder_for(config: TrainConfig) -> SweepFolder:
    """The folder of a sweep: of its name, else of its pictures' name and "-sweep"."""
    name = config.output.name or f"{name_of(config.data)}-sweep"
    return SweepFolder(config.output.output_dir / name)


@contextmanager
def open_sweep(folder: SweepFolder, overwrite: bool) -> Iterator[None]:
    """Take a sweep folder for this process, until the with-block ends or the process does.

    Args:
        folder: made if needed.
        overwrite: an earlier sweep that lies there is removed.
    Raises:
        CheckpointError: another process leads it, or something else lies there.
    """
    if folder.path.exists() and not folder.settings.exists() and _others(folder):
        raise CheckpointError(f"{folder.path} holds something else than a sweep: choose another --name")
    folder.path.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder.lock)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise CheckpointError(
            f"{folder.path} is in use by another process: wait for it, or choose another --name"
        ) from None
    try:
        if overwrite:
            _remove(folder)
        yield
    finally:
        lock.release()


def _others(folder: SweepFolder) -> list[Path]:
    return [place for place in folder.path.iterdir() if place != folder.lock]


def _remove(folder: SweepFolder) -> None:
    """What a sweep writes; anything else that lies there is not touched."""
    own = {folder.settings, folder.state, folder.journal, folder.study, folder.grid, folder.curves, folder.report}
    for place in _others(folder):
        if place in own | {folder.figures}:
            place.unlink()
        elif place.is_dir() and (place in {folder.logs, folder.path / "pictures"} or is_run(place)):
            shutil.rmtree(place)

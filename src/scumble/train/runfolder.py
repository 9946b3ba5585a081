"""The folder of one run: what lies in it, and that only one process writes there."""

import glob
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from scumble.errors import CheckpointError
from scumble.files.atomic import write_atomically
from scumble.files.places import SUFFIXES, words_beside
from scumble.train import journal

ENDS = ("", "-best", "-average", "-last")
"""Of the names of the LoRAs that a run ends with."""


@dataclass(frozen=True)
class RunFolder:
    """Where the parts of a run lie.

    Attributes:
        path: the folder.
        name: of the run and of the LoRA.
        suffix: how the names of its LoRAs end: of files, or of PEFT folders.
    """

    path: Path
    name: str
    suffix: str

    @property
    def checkpoints(self) -> Path:
        """The folder of checkpoints to resume from."""
        return self.path / "checkpoints"

    @property
    def config(self) -> Path:
        """The resolved settings: the same run again."""
        return self.path / "config.toml"

    @property
    def curves(self) -> Path:
        """Loss and validation over the steps, as a picture."""
        return self.path / "curves.png"

    @property
    def history(self) -> Path:
        """Loss and validation over the steps, as JSON."""
        return self.path / "history.json"

    @property
    def journal(self) -> Path:
        """What happened and when, as JSON lines."""
        return self.path / journal.FILE_NAME

    @property
    def lock(self) -> Path:
        """Held by the process that writes here."""
        return self.path / ".lock"

    @property
    def report(self) -> Path:
        """What is known of the run, as a page."""
        return self.path / "report.html"

    @property
    def sheet(self) -> Path:
        """The training pictures with their captions."""
        return self.path / "sheet.png"

    @property
    def data_sheet(self) -> Path:
        """The training pictures, and what was left out, as JSON."""
        return self.path / "pictures.json"

    @property
    def class_pictures(self) -> Path:
        """Class pictures that the base drew for this run."""
        return self.path / "class_pictures"

    @property
    def tensorboard(self) -> Path:
        """TensorBoard's event files."""
        return self.path / "tensorboard"

    @property
    def wandb(self) -> Path:
        """Weights & Biases' files."""
        return self.path / "wandb"

    @property
    def lora(self) -> Path:
        """The LoRA of the last step."""
        return self.path / f"{self.name}{self.suffix}"

    @property
    def best_lora(self) -> Path:
        """The LoRA of the lowest held-out loss."""
        return self.path / f"{self.name}-best{self.suffix}"

    def other_lora(self, what: str) -> Path:
        """Where an average of the steps is kept: the LoRA of the average or of the last step, whichever `lora` is not."""
        return self.path / f"{self.name}-{what}{self.suffix}"

    def lora_at(self, step: int) -> Path:
        """The LoRA of an earlier step."""
        return self.path / f"{self.name}-{step:06d}{self.suffix}"

    def results(self) -> list[Path]:
        """The LoRAs that a run ends with and that are there, in whatever naming a run wrote them."""
        places = (self.path / f"{self.name}{end}{suffix}" for end in ENDS for suffix in SUFFIXES)
        return [place for place in places if place.exists()]

    def loras_of_steps(self) -> list[Path]:
        """The LoRAs of earlier steps that are there, in whatever naming a run wrote them."""
        begin = f"{glob.escape(self.name)}-[0-9][0-9][0-9][0-9][0-9][0-9]*"
        return sorted(place for suffix in SUFFIXES for place in self.path.glob(begin + suffix))

    def samples_at(self, step: int) -> Path:
        """The sample pictures of a step."""
        return self.path / "samples" / f"{step:06d}.png"

    def single_sample(self, step: int, prompt: int, seed: int) -> Path:
        """One sample picture of a step, by the number of its prompt from 0 and its seed; step 0 is the base alone."""
        return self.path / "samples" / f"{step:06d}" / f"{prompt:02d}-{seed}.png"

    def nearest_at(self, step: int) -> Path:
        """The sample pictures of a step above the training pictures that they are nearest to."""
        return self.path / "samples" / f"{step:06d}-nearest.png"


SECONDS_FOR_A_LOOK = 0.3
"""`scumble runs` takes the lock of a run for an instant, to see whether another process has it."""


@contextmanager
def open_run(run: RunFolder, resume: bool, overwrite: bool) -> Iterator[None]:
    """Take a run folder for this process, until the with-block ends or the process does.

    Args:
        run: its folder is made if needed.
        resume: an earlier run may lie there.
        overwrite: an earlier run of this name that lies there is removed.
    Raises:
        CheckpointError: another process is using the folder, or it holds a run.
    """
    run.path.mkdir(parents=True, exist_ok=True)
    lock = FileLock(run.lock)
    try:
        lock.acquire(timeout=SECONDS_FOR_A_LOOK)
    except Timeout:
        raise CheckpointError(
            f"{run.path} is in use by another process: wait for it, or choose another --name"
        ) from None
    try:
        if overwrite:
            _remove_loras(run)
            _remove_the_rest(run)
        if not resume and holds_run(run):
            raise CheckpointError(another_run_in(run.path))
        if not _has_results(run):
            _remove_the_rest(run)  # what a run that was killed early left: class and sample pictures of other settings
        yield
    finally:
        lock.release()


def holds_run(run: RunFolder) -> bool:
    """Whether there is something in the folder that a new run would write over."""
    return _has_results(run) or any(run.loras_of_steps())


def _has_results(run: RunFolder) -> bool:
    from scumble.train.checkpoint import list_checkpoints  # imports torch, which whoever lists runs has no use for

    return bool(list_checkpoints(run.checkpoints)) or bool(run.results())


def another_run_in(folder: Path) -> str:
    """What to say where a folder holds a run."""
    return f"{folder} holds a run already: --resume goes on with it, --overwrite replaces it, --name gives another"


def _remove_loras(run: RunFolder) -> None:
    for place in (*run.results(), *run.loras_of_steps()):
        shutil.rmtree(words_beside(place), ignore_errors=True)
        if place.is_dir():
            shutil.rmtree(place)
        else:
            place.unlink()


def _remove_the_rest(run: RunFolder) -> None:
    """Remove what a run wrote beside its LoRAs; without its settings the folder is not known to be a run's."""
    if not run.config.exists():
        return
    for folder in (run.checkpoints, run.class_pictures, run.tensorboard, run.wandb, run.path / "samples"):
        shutil.rmtree(folder, ignore_errors=True)
    for file in (run.curves, run.history, run.journal, run.data_sheet, run.report, run.sheet, run.config):
        file.unlink(missing_ok=True)


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write JSON text atomically."""
    write_atomically(path, json.dumps(values, indent=1, ensure_ascii=False).encode())

"""Weights & Biases and Trackio, through accelerate's trackers; both write on this machine unless they are told otherwise."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from accelerate import PartialState
from accelerate.tracking import TrackioTracker, WandBTracker

from scumble.train.plan import Plan
from scumble.train.runfolder import RunFolder

PROJECT = "scumble"


def open_tracker(name: str, plan: Plan, run: RunFolder) -> "WandB | Trackio":
    """A tracker by name, its run begun anew: what an earlier process of the same run logged is replaced.

    Args:
        name: "wandb" or "trackio".
        plan: its settings are stored with the run.
        run: where wandb's files go.
    """
    PartialState()  # accelerate's trackers write a line to its log, which needs this
    project = plan.config.output.tracker_project_name or PROJECT
    tracker = WandB(project, plan.name, run.wandb) if name == "wandb" else Trackio(project, plan.name, run.path)
    config = plan.config.model_dump(mode="json", exclude_none=True)
    values = {f"{section}.{key}": value for section, settings in config.items() for key, value in settings.items()}
    tracker.tracker.store_init_configuration({**values, "folder": str(run.path)})
    return tracker


class WandB:
    """A run of Weights & Biases, kept on this machine unless WANDB_MODE says otherwise; `wandb sync` sends it later.

    Args:
        project: that it belongs to.
        name: of the run.
        folder: `wandb`, in the folder of the run.
    """

    def __init__(self, project: str, name: str, folder: Path) -> None:
        import wandb

        for earlier in folder.glob("offline-run-*"):  # what it told is told again
            shutil.rmtree(earlier)
        folder.mkdir(exist_ok=True)
        mode = os.environ.get("WANDB_MODE", "offline")
        settings = wandb.Settings(silent=True)
        self.tracker = WandBTracker(project, name=name, dir=str(folder.parent), mode=mode, settings=settings)
        self.tracker.start()

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Figures of a step by name."""
        self.tracker.log(dict(values), step=step)

    def picture(self, name: str, path: Path, step: int) -> None:
        """A picture file of a step."""
        from PIL import Image

        self.tracker.log_images({name: [Image.open(path)]}, step=step)

    def close(self) -> None:
        """The run is complete."""
        self.tracker.finish()


class Trackio:
    """A run of Trackio, in its own store on this machine unless TRACKIO_SPACE_ID names a Space.

    Args:
        project: that it belongs to.
        name: of the run.
        folder: of the run, by which an earlier process of it is known.
    """

    def __init__(self, project: str, name: str, folder: Path) -> None:
        for earlier in _runs_of(project, folder):
            earlier.delete()
        self.tracker = TrackioTracker(project, name=name, embed=False, config={"folder": str(folder)})
        self.tracker.start()

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Figures of a step by name."""
        self.tracker.log(dict(values), step=step)

    def picture(self, name: str, path: Path, step: int) -> None:
        """A picture file of a step."""
        import trackio

        self.tracker.log({name: trackio.Image(path)}, step=step)

    def close(self) -> None:
        """The run is complete."""
        self.tracker.finish()


def _runs_of(project: str, folder: Path) -> list[Any]:
    """What earlier processes of a run stored here."""
    import trackio

    try:
        runs = list(trackio.Api().runs(project))
    except ValueError:  # no such project yet
        return []
    return [run for run in runs if (run.config or {}).get("folder") == str(folder)]

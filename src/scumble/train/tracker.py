"""Curves and sample pictures, for the programs that show them while a run goes on."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Protocol

from scumble.train.events import Event, Sampled, Stepped, Validated
from scumble.train.journal import read_journal
from scumble.train.plan import Plan
from scumble.train.reporting import BY_CHOICE
from scumble.train.runfolder import RunFolder


class Tracker(Protocol):
    """What shows figures and pictures by step."""

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Figures of a step by name."""
        ...

    def picture(self, name: str, path: Path, step: int) -> None:
        """A picture file of a step."""
        ...

    def close(self) -> None:
        """Nothing more will come: what was logged lies on the disk."""
        ...


@contextmanager
def open_trackers(plan: Plan, run: RunFolder, step: int = 0) -> Iterator[list[Tracker]]:
    """The trackers of a run; what they wrote is complete when the with-block ends, however it ends.

    Args:
        plan: names the trackers.
        run: where their files lie.
        step: steps done; figures of later ones, from before a kill, are not shown any more.
    """
    with ExitStack() as stack:
        trackers: list[Tracker] = []
        for name in plan.config.output.report_to:
            if name == "tensorboard":
                trackers.append(TensorBoard(run.tensorboard, step))
                stack.callback(trackers[-1].close)
            elif name in BY_CHOICE:
                from scumble.train import accelerated  # seconds to import

                trackers.append(accelerated.open_tracker(name, plan, run))
                stack.callback(trackers[-1].close)
                _repeat(run, step, trackers[-1])
        yield trackers


def tracked(events: Iterator[Event], trackers: Sequence[Tracker]) -> Iterator[Event]:
    """The same events; what has figures or a picture is logged before it is passed on."""
    for event in events:
        for tracker in trackers:
            _log(event, tracker)
        yield event


def _log(event: Event, tracker: Tracker) -> None:
    match event:
        case Stepped():
            tracker.log(_of_step(event.loss, event.learning_rate), event.step)
        case Validated():
            tracker.log(_of_validation(event.loss, event.bands), event.step)
        case Sampled():
            tracker.picture("samples", event.path, event.step)


def _of_step(loss: float, learning_rate: float) -> dict[str, float]:
    return {"loss/training": loss, "learning_rate": learning_rate}


def _of_validation(loss: float, bands: Sequence[float]) -> dict[str, float]:
    """The held-out loss, and that of each part of the timesteps, from little noise to much."""
    parts = {f"held_out_by_timesteps/{number}_of_{len(bands)}": each for number, each in enumerate(bands, 1)}
    return {"loss/held_out": loss, **parts}


def _repeat(run: RunFolder, step: int, tracker: Tracker) -> None:
    """Log what the journal tells of the steps done, for trackers that cannot take back what came after them."""
    if step == 0:
        return
    entries, _ = read_journal(run.journal)
    latest: dict[tuple[int, str], Mapping[str, Any]] = {}
    for entry in entries:
        if entry["kind"] in {"stepped", "validated", "sampled"} and entry["step"] <= step:
            latest[entry["step"], entry["kind"]] = entry
    for (at, kind), told in sorted(latest.items()):
        if kind == "stepped":
            tracker.log(_of_step(told["loss"], told["learning_rate"]), at)
        elif kind == "validated":
            tracker.log(_of_validation(told["loss"], told["bands"]), at)
        elif Path(told["path"]).exists():
            tracker.picture("samples", Path(told["path"]), at)


class TensorBoard:
    """Event files in a folder.

    Args:
        folder: of the files.
        step: steps done; later ones that lie there are not shown any more.
    """

    def __init__(self, folder: Path, step: int) -> None:
        from torch.utils.tensorboard.writer import SummaryWriter  # a second to import

        self.writer = SummaryWriter(folder, purge_step=step + 1 if step else None)

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Figures of a step by name."""
        for name, value in values.items():
            self.writer.add_scalar(name, value, step)

    def picture(self, name: str, path: Path, step: int) -> None:
        """A picture file of a step."""
        import numpy as np
        from PIL import Image

        self.writer.add_image(name, np.asarray(Image.open(path).convert("RGB")), step, dataformats="HWC")

    def close(self) -> None:
        """The files are complete."""
        self.writer.close()

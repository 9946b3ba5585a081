"""Curves for TensorBoard."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal


class Tracker:
    """Writes the figures of each step to a TensorBoard folder, or nowhere.

    Args:
        writer: a SummaryWriter, or None.
    """

    def __init__(self, writer: Any | None) -> None:
        self.writer = writer

    def step(self, step: int, loss: float, learning_rate: float) -> None:
        """The figures of an optimizer step."""
        if self.writer is not None:
            self.writer.add_scalar("loss/training", loss, step)
            self.writer.add_scalar("learning_rate", learning_rate, step)

    def validation(self, step: int, loss: float) -> None:
        """The held-out loss."""
        if self.writer is not None:
            self.writer.add_scalar("loss/held_out", loss, step)


@contextmanager
def open_tracker(folder: Path, report_to: Literal["tensorboard", "none"], step: int = 0) -> Iterator[Tracker]:
    """A tracker whose files are complete when the with-block ends, however it ends.

    Args:
        folder: of the event files.
        report_to: "none" gives a tracker that writes nothing.
        step: steps done; figures of later ones, from before a kill, are not shown any more.
    """
    if report_to == "none":
        yield Tracker(None)
        return
    from torch.utils.tensorboard.writer import SummaryWriter  # a second to import

    writer = SummaryWriter(folder, purge_step=step + 1 if step else None)
    try:
        yield Tracker(writer)
    finally:
        writer.close()

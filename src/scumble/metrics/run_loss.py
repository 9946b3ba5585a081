"""The lowest validation loss of the run that made the LoRA, as its folder tells it; nothing is computed anew."""

from collections.abc import Iterator

from scumble.errors import MetricError
from scumble.metrics.base import Event, Measured, Subject
from scumble.runs.read import read_run


def measure(subject: Subject) -> Iterator[Event]:
    """`run_loss`: mean squared error of the noise, of the run's validations the lowest.

    Raises:
        MetricError: the LoRA lies in no run's folder, or the run had no validation.
    """
    if subject.run is None:
        raise MetricError("the LoRA does not lie in the folder of its run; validation_loss measures it anew")
    run = read_run(subject.run)
    if run.best_loss is None:
        raise MetricError(f"run {run.name} tells of no validation; validation_loss measures it anew")
    said = f"the journal of run {run.name}: its lowest validation loss, at step {run.best_step} of {run.step}"
    yield Measured("run_loss", run.best_loss, "lower", said)

"""Doing a cell, in a process of its own: train it, measure and draw with its best LoRA, write its record.

`python -m scumble.sweep.work` reads a job, one line of JSON, from its parent. It stops, saving as any training does, when
the parent closes the pipe or is no more; what is done is never done again.
"""

import hashlib
import os
import signal
import threading
from collections.abc import Callable, Generator
from pathlib import Path

import torch
from filelock import FileLock, Timeout

from scumble.check.probe import bytes_of
from scumble.config import TrainConfig
from scumble.device import memory_advice
from scumble.errors import CheckpointError, ScumbleError
from scumble.sweep.cells import Cell
from scumble.sweep.drawing import draw_missing
from scumble.sweep.job import Job
from scumble.sweep.losses import sample_losses
from scumble.sweep.record import Record, failed, read_record, write_record
from scumble.sweep.story import seconds_at_work, validations_of
from scumble.train.identity import identity
from scumble.train.loop import run_plan
from scumble.train.plan import Plan, make_plan
from scumble.train.runfolder import RunFolder
from scumble.train.surroundings import peak_memory

SECONDS_TO_SAVE = 120.0
"""A process of an earlier sweep that lost its parent may still be saving this cell."""

MEMORY_ADVICE = "fewer --workers leave more for each"


def do_job(job: Job, is_stopped: Callable[[], bool]) -> None:
    """Do what is missing of a cell; an error of its training becomes its record.

    Args:
        job: the cell.
        is_stopped: asked between steps; then the training saves a checkpoint, from which the same job goes on.
    Raises:
        ScumbleError: of a cell that is trained the pictures cannot be drawn.
    """
    torch.set_num_threads(job.threads)
    cell, run = job.cell, job.cell.run
    record = read_record(run.path)
    try:
        _wait_for(run)
        plan = make_plan(_going_on(cell))
        with memory_advice(MEMORY_ADVICE):
            record = record or _trained(plan, job, is_stopped)
    except ScumbleError as error:
        if record is not None:
            raise
        write_record(failed(cell, type(error).__name__, str(error)), run.path)
        return
    if record is not None and job.drawing.columns:
        with memory_advice(MEMORY_ADVICE):
            draw_missing(plan, job.drawing, job.sweep, cell.name, job.sweep / record.best_file)


def _going_on(cell: Cell) -> TrainConfig:
    """The settings of a cell, to go on where there is something to go on from."""
    output = cell.config.output.model_copy(update={"resume": cell.run.config.exists()})
    return cell.config.model_copy(update={"output": output})


def _trained(plan: Plan, job: Job, is_stopped: Callable[[], bool]) -> Record | None:
    """The record of a cell that was trained to its end; None where it was stopped before."""
    if plan.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(plan.device)
    events = run_plan(plan)
    assert isinstance(events, Generator)
    for _ in events:
        if is_stopped():
            events.close()
            return None
    record = _record(plan, job, peak_memory(plan.device))
    write_record(record, job.cell.run.path)
    return record


def _wait_for(run: RunFolder) -> None:
    if not run.path.exists():
        return
    try:
        with FileLock(run.lock, timeout=SECONDS_TO_SAVE):
            pass
    except Timeout:
        raise CheckpointError(f"{run.path} is in use by another process: wait for it to end") from None


def _record(plan: Plan, job: Job, peak: int) -> Record:
    cell, run = job.cell, job.cell.run
    validations = validations_of(run)
    losses = sample_losses(plan, run.best_lora)
    return Record(
        name=cell.name,
        words=cell.words,
        values=cell.values,
        settings=identity(plan),
        steps=max(step for step, _ in validations),
        pictures_a_step=plan.config.training.samples_a_step,
        file=_in(job.sweep, run.lora),
        best_file=_in(job.sweep, run.best_lora),
        sha256=_sha256(run.lora),
        best_sha256=_sha256(run.best_lora),
        validations=validations,
        best_step=min(validations, key=lambda each: (each[1], each[0]))[0],
        losses=losses,
        num_bytes=bytes_of(run.lora),
        seconds=seconds_at_work(run),
        peak_bytes=peak,
        trainable=plan.trainable,
        device=str(plan.device),
    )


def _sha256(place: Path) -> str:
    """Of a file's bytes; of a folder, of those of its files by name."""
    files = sorted(place.rglob("*")) if place.is_dir() else [place]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files if file.is_file())).hexdigest()


def _in(sweep: Path, file: Path) -> str:
    return file.relative_to(sweep).as_posix()


def main() -> None:
    """Read a job and do it, until the parent closes the pipe."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears it too, and says when to stop
    with open(0, "rb", buffering=0, closefd=False) as pipe:
        job = Job.from_json(pipe.readline().decode())
    is_over = threading.Event()

    def wait() -> None:
        os.read(0, 1)  # nothing is sent: it returns when the other end is closed
        is_over.set()

    threading.Thread(target=wait, daemon=True).start()
    do_job(job, is_over.is_set)


if __name__ == "__main__":
    main()

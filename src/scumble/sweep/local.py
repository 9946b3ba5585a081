"""Cells in processes of this machine."""

import os
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from scumble.sweep.job import Job

OWN_GROUP = 0 if os.name == "posix" else None
"""A Ctrl-C is for the parent, which then lets the others save; on other systems they do not listen to it."""


@dataclass
class Local:
    """Processes here; each ends by itself when this one does.

    Attributes:
        logs: folder for what the processes print.
        gpus: how many there are; each process gets the one with the fewest others; 0 = the device is another.
    """

    logs: Path
    gpus: int = 0
    _running: list[tuple[Job, "subprocess.Popen[bytes]", int]] = field(default_factory=list)

    def start(self, job: Job) -> None:
        """See `Crew`."""
        self.logs.mkdir(parents=True, exist_ok=True)
        taken = [gpu for _, _, gpu in self._running]
        gpu = min(range(max(1, self.gpus)), key=taken.count)
        with self._log(job).open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "scumble.sweep.work"],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=surroundings(job.threads, gpu, self.gpus),
                process_group=OWN_GROUP,
            )
        assert process.stdin is not None
        with suppress(BrokenPipeError):  # it ended at once: its log says why
            process.stdin.write(job.to_json().encode() + b"\n")
            process.stdin.flush()
        self._running.append((job, process, gpu))

    def ended(self) -> list[tuple[Job, str]]:
        """See `Crew`."""
        over = [(job, process) for job, process, _ in self._running if process.poll() is not None]
        self._running = [running for running in self._running if running[1].returncode is None]
        return [(job, self._problem(job, process.returncode)) for job, process in over]

    def stop(self) -> None:
        """See `Crew`."""
        for _, process, _ in self._running:
            assert process.stdin is not None
            process.stdin.close()
        for _, process, _ in self._running:
            process.wait()
        self._running = []

    def _log(self, job: Job) -> Path:
        return self.logs / f"{job.cell.name}.log"

    def _problem(self, job: Job, code: int) -> str:
        if code == 0:
            return ""
        if code < 0:
            return f"the system ended it by signal {-code}: likely not enough memory"
        words = self._log(job).read_text("utf-8", "replace").strip().splitlines()
        return words[-1] if words else f"it ended with code {code}"


def surroundings(threads: int, gpu: int, gpus: int) -> dict[str, str]:
    """The environment of a process: so many threads, and of several GPUs its own.

    Args:
        threads: that compute.
        gpu: which of them, from 0.
        gpus: how many there are to share.
    """
    own = {"OMP_NUM_THREADS": str(threads)}
    if gpus > 1:
        seen = os.environ.get("CUDA_VISIBLE_DEVICES", "")
        names = seen.split(",") if seen else [str(index) for index in range(gpus)]
        own["CUDA_VISIBLE_DEVICES"] = names[gpu]
    return {**os.environ, **own}

"""Cells on a Ray cluster, whose machines share the folders of the pictures, of the base and of the sweep."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scumble.errors import ConfigError
from scumble.sweep.job import Job
from scumble.sweep.work import do_job


@dataclass
class OnRay:
    """Tasks of a cluster, each in a fresh process of one of its machines.

    Attributes:
        address: of the cluster; None = one is started here.
        gpus_a_cell: that a cell reserves; 0 = none.
        num_cpus: of a cluster that is started here.
    """

    address: str | None
    gpus_a_cell: float
    num_cpus: int
    _running: list[tuple[Job, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        ray = import_ray()
        if not ray.is_initialized():
            own = {"num_cpus": self.num_cpus, "include_dashboard": False} if self.address is None else {}
            ray.init(address=self.address or "local", log_to_driver=False, logging_level="warning", **own)

    def start(self, job: Job) -> None:
        """See `Crew`."""
        ray = import_ray()
        needs = {"num_cpus": job.threads, "num_gpus": self.gpus_a_cell}
        # a fresh process each: the memory that a cell took is to be its own
        task = ray.remote(max_calls=1, max_retries=0, **needs)(_do)
        self._running.append((job, task.remote(job.to_json(), str(Path.cwd()))))

    def ended(self) -> list[tuple[Job, str]]:
        """See `Crew`."""
        ray = import_ray()
        references = [reference for _, reference in self._running]
        if not references:
            return []
        over, _ = ray.wait(references, num_returns=len(references), timeout=0)
        found = [(job, _problem(reference)) for job, reference in self._running if reference in over]
        self._running = [(job, reference) for job, reference in self._running if reference not in over]
        return found

    def stop(self) -> None:
        """See `Crew`; Ray ends its processes where they are, and the cells go on from their newest checkpoints."""
        ray = import_ray()
        for _, reference in self._running:
            ray.cancel(reference, force=True)
        self._running = []
        ray.shutdown()


def _do(line: str, folder: str) -> None:
    """Do a job whose relative paths are meant from a folder."""
    os.chdir(folder)
    do_job(Job.from_json(line), lambda: False)


def _problem(reference: Any) -> str:
    ray = import_ray()
    try:
        ray.get(reference)
    except ray.exceptions.RayError as error:
        return str(error).strip().splitlines()[-1]
    return ""


def import_ray() -> Any:
    """Ray, which is imported where it is asked for only.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        import ray
    except ImportError:
        raise ConfigError("engine=ray: Ray is not installed: pip install 'scumble[ray]', or engine = 'local'") from None
    return ray

"""One command measured from its start to its end, with everything that it starts."""

import os
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

LOOK_SECONDS = 0.1


class CommandFailedError(Exception):
    """A command ended with another code than 0; the message has its last lines."""


@dataclass(frozen=True)
class Spent:
    """What a command took.

    Attributes:
        seconds: from its start to its end, on the clock.
        processor_seconds: of all its processes; these barely change when other programs run beside it.
        peak_gb: of memory in use by all its processes at one moment, 1e9 bytes; shared pages count in each.
        output: what it printed, stderr among it.
    """

    seconds: float
    processor_seconds: float
    peak_gb: float
    output: str = ""

    def figures(self) -> dict[str, float]:
        """The numbers, for a result."""
        numbers = asdict(self)
        del numbers["output"]
        return numbers


def measured(
    command: Sequence[str | Path],
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
    expected: int = 0,
) -> Spent:
    """Run a command to its end.

    Args:
        command: with its arguments.
        environment: variables that it gets besides ours.
        folder: in which it runs; None = here.
        expected: its exit code.

    Raises:
        CommandFailedError: the exit code is another.
    """
    started = time.monotonic()
    process = subprocess.Popen(
        [str(part) for part in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        cwd=folder,
        env={**os.environ, **(environment or {})},
    )
    peak = 0
    ended = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not ended.is_set():
            peak = max(peak, _bytes_in_use(process.pid))
            ended.wait(LOOK_SECONDS)

    watcher = threading.Thread(target=watch)
    watcher.start()
    assert process.stdout is not None
    try:
        output = process.stdout.read()
        _, status, used = os.wait4(process.pid, 0)
        seconds = time.monotonic() - started
    finally:
        ended.set()
        watcher.join()
    process.returncode = code = os.waitstatus_to_exitcode(status)
    if code != expected:
        last = "\n".join(output.splitlines()[-15:])
        raise CommandFailedError(f"{' '.join(map(str, command))} ended with {code}, expected {expected}:\n{last}")
    return Spent(round(seconds, 3), round(used.ru_utime + used.ru_stime, 3), round(peak / 1e9, 3), output)


def _bytes_in_use(pid: int) -> int:
    try:
        top = psutil.Process(pid)
        tree = [top, *top.children(recursive=True)]
    except psutil.Error:
        return 0
    total = 0
    for process in tree:
        try:
            total += process.memory_info().rss
        except psutil.Error:
            continue
    return total

"""Where a process runs, and whether it still does: on one system the system itself knows, however busy it is."""

import json
import os
import socket
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path

PROCESS_NUMBERS = Path("/proc/self/ns/pid")
"""Which processes share numbers, on Linux: in two containers the same number means two processes."""


@dataclass(frozen=True)
class Whereabouts:
    """A process, as its own system knows it.

    Attributes:
        system: a name that no other system has: host, network card, numbering of processes.
        number: of the process there.
        began: when it did, in seconds; a later process of the same number began later.
    """

    system: str
    number: int
    began: float

    @classmethod
    def own(cls) -> "Whereabouts":
        """Of the process that asks."""
        import psutil

        return cls(_this_system(), os.getpid(), psutil.Process().create_time())

    @classmethod
    def from_json(cls, text: str) -> "Whereabouts":
        """What `to_json` wrote."""
        return cls(**json.loads(text))

    def to_json(self) -> str:
        """As text, for the others."""
        return json.dumps(asdict(self))

    def is_running(self) -> bool | None:
        """Whether the process is there; None where that is another system, which cannot be asked."""
        if self.system != _this_system():
            return None
        import psutil

        try:
            process = psutil.Process(self.number)
            is_same = bool(process.create_time() == self.began)
            return is_same and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False


def _this_system() -> str:
    numbering = str(PROCESS_NUMBERS.readlink()) if PROCESS_NUMBERS.is_symlink() else ""
    return f"{socket.gethostname()} {uuid.getnode():x} {numbering}"

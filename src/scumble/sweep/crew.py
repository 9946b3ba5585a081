"""Who does the cells: what the engines have in common."""

from typing import Protocol

from scumble.sweep.job import Job


class Crew(Protocol):
    """Processes that do cells, here or elsewhere."""

    def start(self, job: Job) -> None:
        """Let a process of its own do a cell."""
        ...

    def ended(self) -> list[tuple[Job, str]]:
        """The cells whose processes ended since the last call, each with why it came to no end; "" = it did, or was stopped."""
        ...

    def stop(self) -> None:
        """Let every process save and end, and wait for that."""
        ...

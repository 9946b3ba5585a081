"""What a report says when it is done."""

from dataclasses import dataclass
from pathlib import Path

from scumble.report.facts import Facts


@dataclass(frozen=True)
class Reported:
    """A report: what it says, and where its page lies; None where only the facts were asked for."""

    facts: Facts
    page: Path | None

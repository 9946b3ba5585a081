"""What checking ends with."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from scumble.check.findings import Findings
from scumble.check.forecast import Forecast
from scumble.check.journal import Act
from scumble.generate.events import Noted
from scumble.train.events import Prepared


@dataclass(frozen=True)
class Checked:
    """A folder, checked.

    Attributes:
        folder: as it was named; of a dataset of the hub its name.
        findings: None where not even its layout is understood, or nothing was looked at.
        forecast: of a training on it, or None.
        no_forecast: why there is none; "" = there is one.
        acts: what was fixed, or taken back, before.
        problems: why it cannot be trained on; empty = it can be.
        warnings: what should be looked at.
        is_usable: the verdict: no problem, and where one is strict no warning.
        page: the report; None where there is nothing to show in one.
    """

    folder: Path
    findings: Findings | None
    forecast: Forecast | None
    no_forecast: str
    acts: Sequence[Act]
    problems: Sequence[str]
    warnings: Sequence[str]
    is_usable: bool
    page: Path | None

    @property
    def was_looked_at(self) -> bool:
        """Whether there is a verdict; what was put in order is taken back without one."""
        return self.findings is not None or bool(self.problems)


Event = Noted | Prepared | Checked

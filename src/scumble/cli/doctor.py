"""The command doctor: what works on this machine, and what to do about the rest."""

import json
import os
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from rich.markup import escape

from scumble.cli.console import plain_console
from scumble.cli.flags import flags_model, nested
from scumble.config import from_values
from scumble.config.doctor import DoctorConfig
from scumble.errors import ScumbleError

if TYPE_CHECKING:
    from scumble.doctor.finding import Finding

DoctorFlags = flags_model(DoctorConfig)
SIGNS = {"works": "[green]✓[/]", "missing": "[dim]·[/]", "fails": "[red]✗[/]"}


def doctor(
    *,
    flags: Annotated[DoctorFlags, Parameter(name="*")] = DoctorFlags(),  # type: ignore[valid-type]  # noqa: B008
) -> None:
    """Try what training needs, and every extra, in small: what works here, and what to do about the rest.

    scumble doctor
    """
    settings = from_values(DoctorConfig, nested(DoctorConfig, flags))
    os.environ["HF_HUB_OFFLINE"] = "1"  # before anything reads it: nothing is fetched
    from scumble.doctor.run import examine

    findings = []
    console = plain_console()
    for finding in examine():
        findings.append(finding)
        if not settings.as_json:
            console.print(_line(finding))
    ill = [finding for finding in findings if finding.is_needed and finding.state != "works"]
    if settings.as_json:
        values = {"can_train": not ill, "findings": [asdict(finding) for finding in findings]}
        sys.stdout.write(json.dumps(values, ensure_ascii=False, indent=2) + "\n")
    if ill:
        raise ScumbleError(f"training cannot run here: {', '.join(finding.what for finding in ill)}; see above")
    if not settings.as_json:
        console.print("[bold green]training can run here[/]")


def _line(finding: "Finding") -> str:
    sign = "[red]✗[/]" if finding.is_needed and finding.state != "works" else SIGNS[finding.state]
    line = f"{sign} {escape(finding.what)}: {escape(finding.text)}"
    return line + (f"\n    -> {escape(finding.remedy)}" if finding.remedy else "")

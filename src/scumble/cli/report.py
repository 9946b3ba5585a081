"""The command report: what is known of a run as one page, or as JSON; and the same at the end of each training."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter
from rich.markup import escape

from scumble.cli.console import plain_console
from scumble.cli.flags import flags_model, nested
from scumble.cli.run import play
from scumble.config import from_values
from scumble.config.report import ReportConfig
from scumble.runs.find import run_folder

ReportFlags = flags_model(ReportConfig, without=frozenset({"run"}))


def report(
    run: Annotated[Path, Parameter(help=ReportConfig.model_fields["run"].description)],
    *,
    flags: Annotated[ReportFlags, Parameter(name="*")] = ReportFlags(),  # type: ignore[valid-type]  # noqa: B008
) -> None:
    """Write what is known of a run as one page: what it learnt, from what, how it went, and how to use the file.

    scumble report runs/photos
    """
    settings = from_values(ReportConfig, {"run": run, **nested(ReportConfig, flags)})
    run_folder(settings.run)  # is said before anything large is imported
    from scumble.report.as_data import as_data
    from scumble.report.events import Reported
    from scumble.report.run import report as write

    ended: list[Reported] = []

    def told() -> Iterator[Any]:
        for event in write(settings):
            if isinstance(event, Reported):
                ended.append(event)
            elif not settings.as_json:
                yield event

    play(told())
    (reported,) = ended
    if reported.page is None:
        data = as_data(reported.facts)
        sys.stdout.write(json.dumps(data, ensure_ascii=False, indent=2, default=str) + "\n")
        return
    console = plain_console()
    for statement in reported.facts.verdict.statements:
        console.print(f"  {statement.about}: {escape(statement.words)}")
    console.print(f"{escape(reported.facts.verdict.word)}: {escape(str(reported.page))}")


class AtTheEnd:
    """Writes the report of a training when that ends, however it does, once it has begun.

    It sees the events go by; whatever goes wrong with the report is one line, and never the end of a training.
    """

    def __init__(self) -> None:
        self.folder: Path | None = None

    def watched(self, events: Iterator[Any]) -> Iterator[Any]:
        """The same events; the first one after the plan says that the run's folder is this process's own."""
        from scumble.train.events import Planned

        planned: Path | None = None
        try:
            for event in events:
                self.folder = self.folder or planned
                if isinstance(event, Planned):
                    planned = event.folder
                yield event
        finally:
            events.close()  # type: ignore[attr-defined]  # a generator: closing it saves the run

    def write(self) -> None:
        """Write it."""
        if self.folder is None:
            return
        from scumble.report.run import write_report

        console = plain_console()
        try:
            console.print(f"  report: {escape(str(write_report(self.folder)))}")
        except Exception as error:  # noqa: BLE001  # a page that fails is no reason for a training to fail
            console.print(f"[yellow]! no report was written: {escape(f'{type(error).__name__}: {error}')}[/]")

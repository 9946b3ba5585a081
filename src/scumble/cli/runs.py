"""The command runs: what became of trainings, as a table, or one of them in full."""

import datetime
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter
from rich.markup import escape
from rich.table import Table

from scumble.cli.console import plain_console
from scumble.cli.flags import flags_model, nested
from scumble.cli.show import duration
from scumble.config import from_values
from scumble.config.runs import RunsConfig
from scumble.quantities import amount, counted

if TYPE_CHECKING:
    from scumble.runs.read import Run

RunsFlags = flags_model(RunsConfig, without=frozenset({"folder"}))
COLOURS = {"running": "bold cyan", "finished": "green", "stopped": "yellow", "killed": "red", "diverged": "red"}
COLUMNS = ("run", "state", "step", "best loss", "base", "algorithm", "files", "last seen")


def runs(
    folder: Annotated[
        Path | None,
        Parameter(name=["--folder", "--output-dir"], help=RunsConfig.model_fields["folder"].description),
    ] = None,
    *,
    flags: Annotated[RunsFlags, Parameter(name="*")] = RunsFlags(),  # type: ignore[valid-type]  # noqa: B008
) -> None:
    """List the runs of a folder: what became of each, how far it came, its best loss; or all that is known of one.

    scumble runs
    """
    values = {**nested(RunsConfig, flags), **({} if folder is None else {"folder": folder})}
    settings = from_values(RunsConfig, values)
    from scumble.runs.find import find_run, find_runs
    from scumble.runs.read import read_run

    one = find_run(settings.folder)
    if one is not None:
        run = read_run(one)
        _print_json(_as_data(run)) if settings.as_json else _print_one(run)
        return
    found, others = find_runs(settings.folder)
    if settings.as_json:
        _print_json({"runs": [_as_data(run) for run in found], "others": others})
    else:
        _print_table(found, [*others, *(f"{run.name}: {problem}" for run in found for problem in run.problems)])


def _as_data(run: "Run") -> dict[str, Any]:
    return asdict(run)


def _print_json(values: Any) -> None:
    sys.stdout.write(json.dumps(values, ensure_ascii=False, indent=2, default=str) + "\n")


def _print_table(found: "list[Run]", lines: list[str]) -> None:
    console = plain_console()
    if found:
        table = Table(box=None, padding=(0, 2, 0, 0))
        for index, column in enumerate(COLUMNS):
            table.add_column(column, justify="right" if column in {"step", "best loss", "files"} else "left")
            table.columns[index].no_wrap = True
        for run in found:
            table.add_row(*map(str, _row(run)))
        console.print(table)
    else:
        console.print("no runs yet: scumble train FOLDER makes one")
    for line in lines:
        console.print(f"[yellow]! {escape(line)}[/]")


def _row(run: "Run") -> Iterator[str]:
    colour = COLOURS.get(run.state, "red")
    yield escape(run.name)
    yield f"[{colour}]{run.state}[/]"
    yield f"{run.step}/{'?' if run.num_steps is None else run.num_steps}"
    yield "-" if run.best_loss is None else f"{run.best_loss:.4f} at {run.best_step}"
    yield escape(run.base)
    yield run.algorithm
    yield str(len(run.loras))
    yield _ago(run.seen)


def _print_one(run: "Run") -> None:
    facts = {
        "state": run.state + (f": {run.ended_by}" if run.ended_by else ""),
        "steps": f"{run.step} of {'?' if run.num_steps is None else run.num_steps}"
        + (f", {run.processes} processes" if run.processes > 1 else ""),
        "best loss": "no validation yet" if run.best_loss is None else f"{run.best_loss:.4f} at step {run.best_step}",
        "last step": "none yet" if run.loss is None else f"training loss {run.loss:.4f}",
        "base": run.base,
        "adapter": f"{run.algorithm}, on {run.device}",
        "begun": "not known" if run.begun is None else f"{run.begun:%Y-%m-%d %H:%M} UTC, last seen {_ago(run.seen)}",
        "LoRAs": ", ".join(f"{name} ({amount(size)})" for name, size in run.loras.items()) or "none yet",
        "checkpoints": f"{run.checkpoints} to resume from",
    }
    console = plain_console()
    console.print(f"[bold]{escape(str(run.path))}[/]")
    for label, text in facts.items():
        console.print(f"  {label:<12}{escape(text)}")
    for problem in run.problems:
        console.print(f"[yellow]! {escape(problem)}[/]")
    if run.state in {"stopped", "killed"}:
        console.print(escape(f'to go on: scumble train --config "{run.path / "config.toml"}" --resume'))


def _ago(when: datetime.datetime | None) -> str:
    if when is None:
        return "not known"
    seconds = (datetime.datetime.now(datetime.UTC) - when).total_seconds()
    days = int(seconds // 86_400)
    return f"{duration(max(0.0, seconds))} ago" if days == 0 else f"{counted(days, 'day')} ago"

"""The command measure: numbers of what a LoRA did, as a table or as JSON."""

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter
from rich.markup import escape
from rich.table import Table

from scumble.cli.ahead import ready
from scumble.cli.console import plain_console
from scumble.cli.flags import flags_model, nested
from scumble.cli.run import play
from scumble.config.metrics import MeasureConfig

if TYPE_CHECKING:
    from scumble.metrics.base import Measured

MeasureFlags = flags_model(MeasureConfig, without=frozenset({"lora"}))
MANY_WORDS = 10
"""As many that sources share are not written twice."""

WAYS = {"lower": "lower is better", "higher": "higher is better", None: ""}


def measure(
    lora: Annotated[Path, Parameter(help=MeasureConfig.model_fields["lora"].description)],
    *,
    flags: Annotated[MeasureFlags, Parameter(name="*")] = MeasureFlags(),  # type: ignore[valid-type]  # noqa: B008
) -> None:
    """Say in numbers what a LoRA did: its loss, how like the training pictures, how far from the base, and what each is made of.

    scumble measure runs/photos/photos.safetensors
    """
    settings = ready(MeasureConfig, {"lora": lora, **nested(MeasureConfig, flags)})
    from scumble.metrics.base import Measured
    from scumble.metrics.run import measure_lora

    found: list[Measured] = []
    notes: list[str] = []

    def told() -> Iterator[Any]:
        for event in measure_lora(settings):
            if isinstance(event, Measured):
                found.append(event)
            elif not settings.as_json:
                yield event
            elif hasattr(event, "text"):
                notes.append(event.text)

    play(told())
    if settings.as_json:
        values = {"numbers": [asdict(one) for one in found], "notes": notes}
        sys.stdout.write(json.dumps(values, ensure_ascii=False, indent=2) + "\n")
    else:
        _print_table(found)


def _print_table(found: "list[Measured]") -> None:
    console = plain_console()
    table = Table(box=None, padding=(0, 2, 0, 0))
    for column in ("number", "with the LoRA", "base alone", ""):
        table.add_column(column, no_wrap=True)
    for one in found:
        spread = "" if one.spread is None else f" ± {_figure(one.spread)}"
        of_base = "" if one.of_base is None else _figure(one.of_base)
        table.add_row(escape(one.name), f"{_figure(one.value)}{spread}", of_base, WAYS[one.better])
    console.print(table)
    console.print("\n[dim]± is the standard error. Computed from:[/]")
    before = ""
    for one in found:
        console.print(f"[dim]  {one.name}: {escape(_without_shared(one.computed_from, before))}[/]")
        before = one.computed_from


def _without_shared(text: str, before: str) -> str:
    """A source whose beginning is that of the one above it, with dots in place of that."""
    words = text.split(" ")
    shared = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(words, before.split(" "), strict=False)))
    return text if shared < MANY_WORDS else f"... {' '.join(words[shared:]) or 'the same'}"


def _figure(value: float) -> str:
    """Four figures, as people read them: 0.1234, 12.34, 1.2e-05."""
    return f"{value:.4g}"

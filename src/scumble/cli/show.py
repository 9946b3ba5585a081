"""Events as text: one moving line on a terminal, plain lines elsewhere."""

import sys
from time import monotonic
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from scumble.cli.console import plain_console
from scumble.quantities import counted

PLAIN_SECONDS = 10.0
"""Where there is no terminal, progress is a line at least this long apart."""


class Screen:
    """Prints events, whatever command they come from.

    Args:
        console: where to print; None = the terminal, UTF-8 whatever the system says.
    """

    def __init__(self, console: Console | None = None) -> None:
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(encoding="utf-8", errors="replace")
        self.console = console or plain_console()
        self.moving = False
        self.printed_at = 0.0
        self.rate = 0.0

    def show(self, event: Any) -> None:
        """Print one event, by its kind."""
        getattr(self, f"_show_{type(event).__name__.lower()}")(event)

    def line(self, text: str) -> None:
        """A line that stays."""
        if self.moving:
            self.console.file.write("\r\x1b[2K")
            self.moving = False
        self.console.print(text)

    def end(self) -> None:
        """Leave the cursor on a fresh line."""
        if self.moving:
            self.console.file.write("\n")
            self.moving = False

    def _progress(self, text: str, last: bool) -> None:
        if self.console.is_terminal:
            self.console.file.write("\r\x1b[2K" + text[: max(20, self.console.width - 1)])
            self.console.file.flush()
            self.moving = True
            if last:
                self.end()
        elif last or monotonic() - self.printed_at >= PLAIN_SECONDS:
            self.console.print(escape(text))
            self.printed_at = monotonic()

    def _show_noted(self, event: Any) -> None:
        self.line(f"[yellow]! {escape(event.text)}[/]" if event.warning else f"[dim]·[/] {escape(event.text)}")

    def _show_planned(self, event: Any) -> None:
        table = Table(show_header=False, box=None, padding=(0, 2, 0, 1))
        table.add_column(style="bold cyan", no_wrap=True)
        table.add_column(overflow="fold")
        for label, text in event.card.items():
            table.add_row(label, escape(text))
        self.line(f"\n[bold]{escape(event.title)}[/]")
        self.console.print(table)
        self.console.print()

    def _show_tabled(self, event: Any) -> None:
        table = Table(title=event.title, title_justify="left", title_style="bold", box=None, padding=(0, 2, 0, 1))
        for index, column in enumerate(event.columns):
            table.add_column(column, justify="left" if index == 0 else "right")
        for row in event.rows:
            table.add_row(*row)
        self.line("")
        self.console.print(table)

    def _show_prepared(self, event: Any) -> None:
        self._progress(f"{event.what}: {event.done} of {event.total}", event.done == event.total)

    def _show_stepped(self, event: Any) -> None:
        self.rate = event.seconds if self.rate == 0 else 0.9 * self.rate + 0.1 * event.seconds
        left = (event.num_steps - event.step) * self.rate
        speed = f"{1 / self.rate:.2f} steps/s" if self.rate < 1 else f"{self.rate:.1f} s/step"
        self._progress(
            f"step {event.step}/{event.num_steps}  {speed}  {duration(left)} left  "
            f"loss {event.loss:.4f}  lr {event.learning_rate:.2e}",
            event.step == event.num_steps,
        )

    def _show_validated(self, event: Any) -> None:
        what = "held-out loss" if event.held_out else "loss at fixed noise"
        self.line(f"  step {event.step}: {what} {event.loss:.4f}" + (" [green](best so far)[/]" if event.best else ""))

    def _show_sampled(self, event: Any) -> None:
        self.line(f"  step {event.step}: samples {escape(str(event.path))}")

    def _show_saved(self, event: Any) -> None:
        self.line(f"  step {event.step}: {event.what} {escape(str(event.path))}")

    def _show_painted(self, event: Any) -> None:
        self.line(f"  {event.index}/{event.total}  {escape(str(event.path))}")

    def _show_composed(self, event: Any) -> None:
        self.line(f"{event.what}: {escape(str(event.path))}")

    def _show_laidout(self, event: Any) -> None:
        tables = f"{event.tables} tables of " if event.tables > 1 else ""
        kept = f", {event.kept} of them there from before" if event.kept else ""
        pictures = f"{counted(event.pictures, 'picture')} in {tables}{event.columns} x {event.rows} cells"
        self.line(f"[dim]·[/] {pictures}{kept}")

    def _show_drawn(self, event: Any) -> None:
        if event.image is None:
            self.line(f"[yellow]! {escape(event.reason)}[/]")
        left = f"  {duration(event.seconds_left)} left" if event.done < event.total else ""
        self._progress(f"{event.done}/{event.total} pictures{left}", event.done == event.total)

    def _show_pagewritten(self, event: Any) -> None:
        self.line(f"page: {escape(str(event.path))}")

    def _show_enlarging(self, event: Any) -> None:
        left = f"{duration(event.seconds_left)} left"
        self._progress(f"{event.index}/{event.total}  {event.share:.0%}  {left}  {event.path.name}", last=False)

    def _show_retiled(self, event: Any) -> None:
        self.line(f"[yellow]! not enough memory: once more with tiles of {event.tile_px} px[/]")

    def _show_enlarged(self, event: Any) -> None:
        sizes = " -> ".join(f"{width} x {height}" for width, height in (event.before, event.after))
        self.line(f"  {event.index}/{event.total}  {escape(str(event.out))}  {sizes}")
        if event.lost:
            self.line(f"[yellow]! {escape(event.path.name)}: the result has not {escape(', nor '.join(event.lost))}[/]")

    def _show_unread(self, event: Any) -> None:
        self.line(f"[yellow]! left out: {escape(str(event.path))}: {escape(event.reason)}[/]")

    def _show_tallied(self, event: Any) -> None:
        left_out = f", {counted(event.unread, 'picture')} left out" if event.unread else ""
        self.line(f"\n[bold green]{counted(event.done, 'picture')} in {escape(str(event.out))}[/]{left_out}")

    def _show_captioned(self, event: Any) -> None:
        left = f"{duration(event.seconds_left)} left"
        self._progress(
            f"{event.done}/{event.total}  {left}  {event.path.name}: {event.text}", event.done == event.total
        )

    def _show_reviewed(self, event: Any) -> None:
        written, kept, failed = (event.number(kind) for kind in ("written", "kept", "failed"))
        total = f"{counted(len(event.outcomes), 'picture')}: {written} captioned, {kept} had a caption, {failed} without one"
        self.line(f"\n[bold green]{total}[/]")
        self.console.print(f"  look them over: {escape(str(event.page))}")

    def _show_finished(self, event: Any) -> None:
        self.line(f"\n[bold green]finished at step {event.step}[/]")
        for what, path in event.files.items():
            self.console.print(f"  {what}: {escape(str(path))}")
        for what, figure in event.figures.items():
            self.console.print(f"  {what.replace('_', ' ')}: {figure:.4g}")


def duration(seconds: float) -> str:
    """Seconds as people say them: 45s, 3m20s, 1h05m."""
    whole = int(seconds + 0.5)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    return f"{whole // 3600}h{whole % 3600 // 60:02d}m"

"""Running a generator of events to its end, or to where the person stops it; errors become one line and an exit code."""

import os
import signal
import sys
from collections.abc import Callable, Generator, Iterator
from types import FrameType
from typing import Any

from rich.markup import escape

from scumble.cli.console import plain_console
from scumble.cli.show import Screen
from scumble.errors import InterruptedRunError, ProcessLostError, ScumbleError

SIGNAL_EXIT = {"SIGINT": 130, "SIGTERM": 143, "SIGHUP": 129, "SIGBREAK": 130}
"""Exit code after each signal, as shells expect: 128 + the signal's number."""


class Stop:
    """Remembers the first signal; the second one of its kind ends the program as usual.

    Args:
        speaks: say that it came.
    """

    def __init__(self, speaks: bool) -> None:
        self.speaks = speaks
        self.signal: str | None = None
        self.restore: list[tuple[signal.Signals, Any]] = []

    def __enter__(self) -> "Stop":
        for name in SIGNAL_EXIT:
            number = getattr(signal, name, None)  # Windows has neither SIGHUP nor a SIGTERM worth the name
            if number is not None:
                self.restore.append((number, signal.signal(number, self._remember)))
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self.restore:
            signal.signal(number, handler)

    def _remember(self, number: int, _: FrameType | None) -> None:
        self.signal = signal.Signals(number).name
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
        if self.speaks:
            print(f"\n{self.signal}: stopping after this step ... (again to stop at once)", file=sys.stderr)


def play(
    events: Iterator[Any],
    after_stop: str = "what was written is whole",
    until: Callable[[Any], bool] = lambda _: False,
    speaks: bool = True,
) -> None:
    """Show events until they end, `until` says so, or a signal comes; closing the generator lets it save.

    Args:
        events: a generator.
        after_stop: what to say after a signal: what is kept, and how to go on.
        until: ends it early.
        speaks: show them; of several processes that do one thing together one is enough.
    Raises:
        InterruptedRunError: a signal stopped it after saving.
    """
    screen = Screen()
    assert isinstance(events, Generator)
    with Stop(speaks) as stop:
        try:
            for event in events:
                if speaks:
                    screen.show(event)
                if stop.signal is not None or until(event):
                    break
        except ProcessLostError:
            if stop.signal is None:  # else the others were told to stop too, and were quicker
                raise
        finally:
            events.close()
            screen.end()
    if stop.signal is not None:
        error = InterruptedRunError(f"stopped by {stop.signal}; {after_stop}")
        error.exit_code = SIGNAL_EXIT[stop.signal]
        raise error


def report(error: ScumbleError) -> int:
    """Print an error for people and give its exit code."""
    where = f"process {os.environ['RANK']}: " if "RANK" in os.environ else ""  # as torchrun says it
    plain_console(stderr=True).print(f"[bold red]error:[/] {where}{escape(str(error))}")
    return error.exit_code

"""How a bench ends: what a person can mend is a sentence and a code, not a traceback."""

import json
import sys
from collections.abc import Callable
from typing import NoReturn

from scumble.cli.leave import leave
from scumble.errors import ScumbleError

from .processes import CommandFailedError

CODE = 2


class UnusableError(Exception):
    """What was given cannot be used; the message says what was found, and what to do."""


def run_bench(main: Callable[[], int | None]) -> NoReturn:
    """Run a bench and end the process.

    Args:
        main: the bench; answers an exit code, or None for 0.
    """
    try:
        code = main()
    except (ScumbleError, CommandFailedError, UnusableError, OSError, json.JSONDecodeError) as error:
        print(f"error: {error}", file=sys.stderr)
        code = CODE
    leave(code or 0)  # with what was frozen left to it, Python would print pages about it

"""The command `scumble`: each command builds settings from flags and a file, calls one function, shows its events.

What is not needed to find out which command it is, or to say that it cannot be, is imported after that.
"""

import os
import sys
from typing import NoReturn

from scumble.cli.commands import HELP, front_page
from scumble.cli.foreign import notes_on, translate
from scumble.cli.leave import leave
from scumble.cli.spared import spare_unused
from scumble.errors import ScumbleError

READER_GONE = 141
"""Exit code, as of programs that SIGPIPE ends."""


def main() -> NoReturn:
    """The entry point; ends the process with the exit code that errors.py and the README list."""
    spare_unused()
    leave(exit_code(sys.argv[1:]))


def exit_code(arguments: list[str]) -> int:
    """Run one command line and say how it ended."""
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("DIFFUSERS_VERBOSITY", "error")
    try:
        _run(arguments)
        sys.stdout.flush()
    except ScumbleError as error:
        return _report(error)
    except BrokenPipeError:  # whoever read what is printed has gone, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python's end fails at what is left
        return READER_GONE
    except OSError as error:  # the disk or a permission: the system's words say which file
        return _report(ScumbleError(str(error)))
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    return 0


def _run(arguments: list[str]) -> None:
    if not arguments or arguments in [[flag] for flag in HELP]:
        print(front_page())
        return
    for note in notes_on(arguments):
        print(f"· {note}")
    translated = translate(arguments)
    from scumble.cli.parser import run_command

    _quieten()
    run_command(translated)


def _quieten() -> None:
    """Leave out what libraries say of themselves on every import."""
    import logging

    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # of a faster kernel


def _report(error: ScumbleError) -> int:
    from scumble.cli.run import report

    return report(error)

"""Ending the command's process at once, without taking Python apart.

By the end of a training half a million objects lie there, and looking through them once more for what could be freed takes
Python seconds, which the system does in none. Whatever has to be done at the end is done: functions registered with
atexit, and threads that are still at work are waited for, as Python would.
"""

import atexit
import os
import sys
import threading
from contextlib import suppress
from typing import NoReturn


def leave(code: int) -> NoReturn:
    """End the process with an exit code."""
    if any(not thread.daemon for thread in threading.enumerate() if thread is not threading.main_thread()):
        sys.exit(code)
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # whoever read it has gone, or it is closed
            stream.flush()
    os._exit(code)

"""All trials in turn."""

import contextlib
from collections.abc import Iterator

from scumble.doctor.extras import look_at_extras
from scumble.doctor.finding import Finding, tried
from scumble.doctor.machine import INSTALL_AGAIN, look_at_python, look_at_torch
from scumble.doctor.places import look_at_places


def examine() -> Iterator[Finding]:
    """Try everything that training and its extras need; nothing is fetched, and nothing stays behind.

    Yields:
        What became of each trial.
    """
    yield from look_at_python()
    with contextlib.suppress(ModuleNotFoundError):  # without torch the rest has nothing to stand on; that is told
        yield from look_at_torch()
    yield tried("models", _opens_mini, INSTALL_AGAIN, is_needed=True)
    yield from look_at_places()
    yield from look_at_extras()


def _opens_mini() -> str:
    from scumble.families.find import open_base

    base = open_base("mini")
    numbers = sum(parameter.numel() for parameter in base.empty_denoiser().parameters())
    return f"the model in the box is there, {numbers:,} numbers in its denoiser"

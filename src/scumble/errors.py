"""What can go wrong, by kind. Each kind has the exit code that the command line ends with.

A message says what was found, what was expected and what to do about it.
"""

import difflib
from collections.abc import Iterable, Mapping


class ScumbleError(Exception):
    """Anything that stops the work and that the person can act on."""

    exit_code = 1


class ConfigError(ScumbleError):
    """A setting, flag or file of settings that cannot be used as it stands."""

    exit_code = 2


class DataError(ScumbleError):
    """Pictures or captions that cannot be used as they stand."""


class BaseModelError(ScumbleError):
    """A base model that cannot be found, read or used."""


class CaptionerError(ScumbleError):
    """A model that writes captions which cannot be found, read or used."""


class MetricError(ScumbleError):
    """A number that cannot be measured here, or a model for measuring that cannot be used."""


class UpscalerError(ScumbleError):
    """A model that enlarges pictures which cannot be found, read or used."""


class LoraFileError(ScumbleError):
    """A LoRA file that is damaged, not understood, or does not fit the model."""


class NamingError(LoraFileError):
    """A LoRA that a naming of files cannot say."""


class TargetError(ConfigError):
    """A pattern for layers that matches nothing, or layers that cannot be adapted."""


class CheckpointError(ScumbleError):
    """A checkpoint or run folder that cannot be used: damaged, in use, or of another run."""


class DivergedError(ScumbleError):
    """Training produced a number that is not finite.

    Attributes:
        found: what is not finite.
        step: number, from 1, of the optimizer step that is to blame; None where there is none.
    """

    exit_code = 3

    def __init__(self, message: str, found: str = "", step: int | None = None) -> None:
        super().__init__(message)
        self.found = found
        self.step = step


class DiskError(ScumbleError):
    """The disk is full, or refuses to be written to."""


class OutOfMemoryError(ScumbleError):
    """The device has not enough memory for what was asked."""

    exit_code = 4


class ProcessLostError(ScumbleError):
    """Of several processes that train together one died, hangs, or does something else than the others."""

    exit_code = 5


class InterruptedRunError(ScumbleError):
    """The person stopped the run; everything was saved."""

    exit_code = 130


def nearest(name: str, known: Iterable[str], called: Mapping[str, str] | None = None) -> str:
    """The end of an 'unknown name' message: the closest known name, or all of them.

    Args:
        name: what was found.
        known: the names there are.
        called: further spellings of them -> the name to suggest.
    """
    meant = {**(called or {}), **{each: each for each in known}}
    close = difflib.get_close_matches(name, meant, n=1, cutoff=0.6)
    if close:
        return f": did you mean '{meant[close[0]]}'?"
    return f": known are {', '.join(dict.fromkeys(meant.values()))}"

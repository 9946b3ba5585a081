"""What a trial says, and how a trial is made."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

State = Literal["works", "missing", "fails"]


@dataclass(frozen=True)
class Finding:
    """What became of one trial.

    Attributes:
        what: was tried.
        state: "missing" = not installed or not there, which may be wanted.
        text: what was found, or why it fails.
        remedy: what to do, in one line; "" = nothing.
        is_needed: whether training cannot run without it.
    """

    what: str
    state: State
    text: str
    remedy: str = ""
    is_needed: bool = False


def tried(what: str, trial: Callable[[], str], remedy: str, is_needed: bool = False) -> Finding:
    """Try something; whatever goes wrong is what is told.

    Args:
        what: is tried.
        trial: says what was found.
        remedy: what to do where it fails.
        is_needed: whether training cannot run without it.
    """
    try:
        return Finding(what, "works", trial(), is_needed=is_needed)
    except ModuleNotFoundError as error:
        return Finding(what, "missing", str(error), remedy, is_needed)
    except Exception as error:  # noqa: BLE001 - whatever a broken installation raises is what the person should read
        lines = str(error).strip().splitlines() or [""]
        return Finding(what, "fails", f"{type(error).__name__}: {lines[0]}", remedy, is_needed)

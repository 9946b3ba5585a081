"""Folders of the hub: from its cache or fetched into it, and one line for every way in which that fails."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from scumble.errors import ScumbleError


@dataclass(frozen=True)
class Asked:
    """Who asks the hub for a model, for the messages.

    Attributes:
        what: what the person calls the model: "base", "captioner".
        otherwise: what to do where neither the hub nor its cache has it, besides fetching it elsewhere.
        error: the kind of error to raise.
    """

    what: str
    otherwise: str
    error: type[ScumbleError]


def fetch_folder(name: str, revision: str | None, wanted: Sequence[str], asked: Asked) -> Path:
    """The folder of a model of the hub; offline, or where the hub does not answer, the one in its cache.

    Args:
        name: hub id.
        revision: revision on the hub; None = the newest.
        wanted: patterns of what is fetched.
        asked: who asks.
    Raises:
        ScumbleError: of the kind `asked.error`, in one line: the model is not to be had.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    # of the library that it fetches with, which is not the same in all versions, and whose errors need not be OSErrors
    from huggingface_hub.errors import HTTPError as FetchingError  # type: ignore[attr-defined]

    begin = f"{asked.what} {name}"
    elsewhere = f"On a machine with internet run 'hf download {name}', {asked.otherwise}"
    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=list(wanted)))
    except HFValidationError:
        raise asked.error(f"{begin}: no such folder, and not a hub id (owner/name)") from None
    except LocalEntryNotFoundError as error:
        raise asked.error(f"{begin}: {_NOT_HERE}, and the hub cannot be reached. {elsewhere}") from error
    except HfHubHTTPError as error:
        raise asked.error(
            f"{begin}: the hub does not give it: {_first_line(error)}. Check the name, run 'hf auth login' if it is a "
            "private or gated one, or give a folder."
        ) from error
    except (FetchingError, OSError) as error:
        raise asked.error(f"{begin}: {_NOT_HERE}, and fetching it failed: {_first_line(error)}. {elsewhere}") from error


_NOT_HERE = "no such folder here, not whole in the hub cache"


def _first_line(error: Exception) -> str:
    """An error in one line: its kind where it says nothing itself, as a lost connection does."""
    said = str(error).strip().splitlines()
    return said[0].rstrip(".") if said else type(error).__name__

"""Folders of the hub: from its cache or fetched into it, and one line for every way in which that fails."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from scumble.errors import ScumbleError


@dataclass(frozen=True)
class Asked:
    """Who asks the hub, for the messages.

    Attributes:
        what: what the person calls it: "base", "captioner", "dataset".
        otherwise: what to do where neither the hub nor its cache has it, besides fetching it elsewhere.
        error: the kind of error to raise.
        kind: which of the hub's kinds of repositories it is.
    """

    what: str
    otherwise: str
    error: type[ScumbleError]
    kind: Literal["model", "dataset"] = "model"


def fetch_folder(
    name: str, revision: str | None, wanted: Sequence[str], asked: Asked, only_cached: bool = False
) -> Path:
    """The folder of a repository of the hub; offline, or where the hub does not answer, the one in its cache.

    Args:
        name: hub id.
        revision: revision on the hub; None = the newest.
        wanted: patterns of what is fetched.
        asked: who asks.
        only_cached: the hub is not asked, as after it did not answer.
    Raises:
        ScumbleError: of the kind `asked.error`, in one line: it is not to be had.
    """
    from huggingface_hub import snapshot_download

    with _in_one_line(name, asked):
        folder = snapshot_download(
            name,
            repo_type=asked.kind,
            revision=revision,
            allow_patterns=list(wanted),
            local_files_only=only_cached,
        )
        return Path(folder)


def files_on_hub(name: str, revision: str | None, asked: Asked) -> list[str] | None:
    """The paths of all files of a repository; None where the hub cannot be asked, and its cache has to do.

    Args:
        name: hub id.
        revision: revision on the hub; None = the newest.
        asked: who asks.
    Raises:
        ScumbleError: of the kind `asked.error`, in one line: the hub does not give it.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    try:
        with _in_one_line(name, asked):
            ask = HfApi().dataset_info if asked.kind == "dataset" else HfApi().model_info
            return [file.rfilename for file in ask(name, revision=revision).siblings or []]
    except asked.error as error:
        if error.__cause__ is None or isinstance(error.__cause__, HfHubHTTPError):
            raise  # the name is none, or the hub has answered
        return None


@contextmanager
def _in_one_line(name: str, asked: Asked) -> Iterator[None]:
    """Every way in which the hub's client fails, as one line."""
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    # of the library that it fetches with, which is not the same in all versions, and whose errors need not be OSErrors
    from huggingface_hub.errors import HTTPError as FetchingError  # type: ignore[attr-defined]

    begin = f"{asked.what} {name}"
    options = "" if asked.kind == "model" else f" --repo-type {asked.kind}"
    elsewhere = f"On a machine with internet run 'hf download {name}{options}', {asked.otherwise}"
    try:
        yield
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

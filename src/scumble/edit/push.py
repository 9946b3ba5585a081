"""Sending a published folder to the hub."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from scumble.errors import ConfigError, ScumbleError

_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")


def check_repository(api: Any, repository: str, overwrite: bool) -> None:
    """Raise if a folder cannot go to a repository; asked before any work.

    Args:
        api: a huggingface_hub.HfApi.
        repository: USER/NAME.
        overwrite: whether it may be there already.
    Raises:
        ConfigError: not a repository's name, or it is there.
        ScumbleError: the hub cannot be reached, or knows nobody here.
    """
    if not _REPOSITORY.fullmatch(repository):
        raise ConfigError(f"push={repository}: expected a repository of the hub, USER/NAME")
    with in_words(repository):
        api.whoami()
        is_there = api.repo_exists(repository)
    if is_there and not overwrite:
        raise ConfigError(f"push={repository}: is there already; give another name, or --overwrite to add to it")


def push_folder(api: Any, folder: Path, repository: str, private: bool) -> str:
    """Send a folder to a repository, which is made if it is not there.

    Args:
        api: a huggingface_hub.HfApi.
        folder: all of it is sent.
        repository: USER/NAME.
        private: whether a repository that is made is seen by its owner alone.
    Returns:
        The repository's address.
    Raises:
        ScumbleError: the hub does not take it; the folder is still there.
    """
    try:
        with in_words(repository):
            address = api.create_repo(repository, private=private, exist_ok=True)
            api.upload_folder(repo_id=repository, folder_path=folder, commit_message=f"Publish {folder.name}")
    except ScumbleError as error:
        raise ScumbleError(f"{error}. The folder is whole: 'hf upload {repository} {folder}' sends it later") from error
    return str(address)


@contextmanager
def in_words(repository: str) -> Iterator[None]:
    """The hub's errors in ours.

    Raises:
        ScumbleError: says what to do.
    """
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalTokenNotFoundError, OfflineModeIsEnabled

    # of the library that it sends with, which is not the same in all versions
    from huggingface_hub.errors import HTTPError as SendingError  # type: ignore[attr-defined]

    try:
        yield
    except LocalTokenNotFoundError as error:
        raise ScumbleError(f"push={repository}: the hub does not know you here: 'hf auth login' comes first") from error
    except HFValidationError as error:
        raise ConfigError(f"push={repository}: not a repository's name: {error}") from error
    except HfHubHTTPError as error:
        reason = str(error).strip().splitlines()[0]
        raise ScumbleError(
            f"push={repository}: the hub refuses: {reason}; 'hf auth login' with a token that may write helps if it is that"
        ) from error
    except OfflineModeIsEnabled as error:
        raise ScumbleError(f"push={repository}: HF_HUB_OFFLINE is set: unset it, or leave --push out") from error
    except (SendingError, OSError) as error:
        raise ScumbleError(
            f"push={repository}: the hub cannot be reached ({type(error).__name__}): leave --push out and send it later"
        ) from error

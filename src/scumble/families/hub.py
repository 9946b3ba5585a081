"""From a name to a place on the disk: a folder or file here, the model in the box, or the hub and its cache."""

import re
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

from scumble.errors import BaseModelError, ConfigError

IN_THE_BOX = {"mini": "mini/weights"}
"""Bases that ship with the package -> their folder in it."""

PICKLES = (".ckpt", ".pt", ".pth", ".bin")
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


def find_place(name: str, revision: str | None, wanted: Sequence[str]) -> Path:
    """The folder or .safetensors file that a name means, fetched from the hub where needed.

    Args:
        name: folder, file, hub id, or the name of a base in the box.
        revision: revision on the hub.
        wanted: patterns of what is fetched from the hub.
    Raises:
        BaseModelError: not found here, and not to be had from the hub; or a pickle.
        ConfigError: a revision of something that is not on the hub.
    """
    path = Path(name).expanduser()
    if name in IN_THE_BOX:
        path = Path(str(resources.files("scumble"))) / IN_THE_BOX[name]
    if path.suffix.lower() in PICKLES and not path.is_dir():
        raise BaseModelError(
            f"base {name}: a pickle ({path.suffix}), which can run any program when it is opened, so it is not read "
            f"here: scumble convert makes a .safetensors file of it, in a process of its own"
        )
    if path.is_dir() or path.is_file():
        if revision is not None:
            kind = "folder" if path.is_dir() else "file"
            raise ConfigError(f"revision={revision} would have no effect: base {name} is a {kind}; leave revision out")
        return path
    if path.suffix.lower() == ".safetensors":
        raise BaseModelError(f"base {name}: there is no such file; look for its name and folder")
    if not _HUB_ID.fullmatch(name):
        raise BaseModelError(f"base {name}: no such folder, and not a hub id (owner/name)")
    return _from_hub(name, revision, wanted)


def _from_hub(name: str, revision: str | None, wanted: Sequence[str]) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    # of the library that it fetches with, which is not the same in all versions, and whose errors need not be OSErrors
    from huggingface_hub.errors import HTTPError as FetchingError  # type: ignore[attr-defined]

    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=list(wanted)))
    except HFValidationError:
        raise BaseModelError(f"base {name}: no such folder, and not a hub id (owner/name)") from None
    except LocalEntryNotFoundError as error:
        raise BaseModelError(f"base {name}: {_NOT_HERE}, and the hub cannot be reached. {_offline(name)}") from error
    except HfHubHTTPError as error:
        raise BaseModelError(
            f"base {name}: the hub does not give it: {_first_line(error)}. Check the name, run 'hf auth login' if it is a "
            "private or gated one, or give a folder."
        ) from error
    except (FetchingError, OSError) as error:
        raise BaseModelError(
            f"base {name}: {_NOT_HERE}, and fetching it failed: {_first_line(error)}. {_offline(name)}"
        ) from error


_NOT_HERE = "no such folder here, not whole in the hub cache"


def _offline(name: str) -> str:
    """What to do where the hub does not answer."""
    return (
        f"On a machine with internet run 'hf download {name}', or give --base a pipeline folder or a .safetensors "
        "checkpoint. --base mini is in the box and needs no download."
    )


def _first_line(error: Exception) -> str:
    """An error in one line: its kind where it says nothing itself, as a lost connection does."""
    said = str(error).strip().splitlines()
    return said[0].rstrip(".") if said else type(error).__name__


def is_cached(hub_id: str) -> bool:
    """Whether a pipeline of the hub is in the cache; the network is not asked."""
    from huggingface_hub import try_to_load_from_cache

    return isinstance(try_to_load_from_cache(hub_id, "model_index.json"), str)

"""From a name to a place on the disk: a folder or file here, the model in the box, or the hub and its cache."""

import difflib
import re
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

from scumble.errors import BaseModelError, ConfigError
from scumble.files.hub import Asked, fetch_folder
from scumble.files.places import PICKLES

IN_THE_BOX = {"mini": "mini/weights"}
"""Bases that ship with the package -> their folder in it."""

ASKED = Asked(
    what="base",
    otherwise="or give --base a pipeline folder or a .safetensors checkpoint. --base mini is in the box and needs no download.",
    error=BaseModelError,
)
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
    path = _path_of(name)
    refuse_no_base(name)
    if not (path.is_dir() or path.is_file()):
        return fetch_folder(name, revision, wanted, ASKED)
    if revision is not None:
        kind = "folder" if path.is_dir() else "file"
        raise ConfigError(f"revision={revision} would have no effect: base {name} is a {kind}; leave revision out")
    return path


def refuse_no_base(name: str | None) -> None:
    """Raise where a name means nothing that could be a base; the hub is not asked.

    Args:
        name: as of `find_place`; None is for those who choose one later.
    Raises:
        BaseModelError: neither a folder or file here nor named as one on the hub is; or a pickle.
    """
    if name is None:
        return
    path = _path_of(name)
    if path.suffix.lower() in PICKLES and not path.is_dir():
        raise BaseModelError(
            f"base {name}: a pickle ({path.suffix}), which can run any program when it is opened, so it is not read "
            f"here: scumble convert makes a .safetensors file of it, in a process of its own"
        )
    if path.is_dir() or path.is_file():
        return
    if path.suffix.lower() == ".safetensors":
        raise BaseModelError(f"base {name}: there is no such file; look for its name and folder")
    if not _HUB_ID.fullmatch(name):
        meant = difflib.get_close_matches(name, IN_THE_BOX, n=1)
        hint = f"; did you mean '{meant[0]}'?" if meant else ""
        raise BaseModelError(f"base {name}: no such folder, and not a hub id (owner/name){hint}")


def _path_of(name: str) -> Path:
    if name in IN_THE_BOX:
        return Path(str(resources.files("scumble"))) / IN_THE_BOX[name]
    return Path(name).expanduser()


def is_cached(hub_id: str) -> bool:
    """Whether a pipeline of the hub is in the cache; the network is not asked."""
    from huggingface_hub import try_to_load_from_cache

    return isinstance(try_to_load_from_cache(hub_id, "model_index.json"), str)

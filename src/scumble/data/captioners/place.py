"""From what a person calls a captioner's model to the folder of its files: here, in the hub's cache, or on the hub."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from scumble.errors import CaptionerError
from scumble.files.hub import Asked, fetch_folder

ASKED = Asked(what="captioner", otherwise="or give --model the folder of one.", error=CaptionerError)
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


@dataclass(frozen=True)
class ModelFolder:
    """The files of a model.

    Attributes:
        name: what the person calls it, for messages.
        path: the folder.
        is_from_hub: whether it lies in the hub's cache.
    """

    name: str
    path: Path
    is_from_hub: bool

    def error(self, reason: str) -> CaptionerError:
        """What is wrong with it, in one line."""
        return CaptionerError(f"captioner {self.name}: {reason}")

    def not_whole(self, reason: str) -> CaptionerError:
        """A file is missing or damaged: also says how to get all of them."""
        fetch = f"'hf download {self.name}' fetches what is missing" if self.is_from_hub else "copy all of its files"
        return self.error(f"{self.path} is not whole: {reason}; {fetch}")


def find_model(name: str, wanted: Sequence[str]) -> ModelFolder:
    """The folder that a name means, fetched from the hub where needed.

    Args:
        name: a folder or a hub id.
        wanted: patterns of what is fetched from the hub.
    Raises:
        CaptionerError: not found here, and not to be had from the hub; says which command fetches it.
    """
    path = Path(name).expanduser()
    if path.is_dir():
        return ModelFolder(name, path, is_from_hub=False)
    if path.is_file():
        raise CaptionerError(f"captioner {name}: a file; expected the folder of a model, or a hub id (owner/name)")
    if not _HUB_ID.fullmatch(name):
        raise CaptionerError(f"captioner {name}: no such folder, and not a hub id (owner/name)")
    return ModelFolder(name, fetch_folder(name, None, wanted, ASKED), is_from_hub=True)

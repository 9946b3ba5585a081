"""Whether files can be written to a folder, asked before the work that they are for."""

import tempfile
from pathlib import Path

from scumble.errors import DataError


def refuse_unwritable(folder: Path, what: str, advice: str = "") -> None:
    """Raise where no file can be made in a folder; what is made for the question is gone at once.

    Args:
        folder: one that is there.
        what: that is to be written there, for the message.
        advice: the end of the message.
    Raises:
        DataError: names the folder and the reason.
    """
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".scumble-", suffix=".tmp"):
            pass
    except OSError as error:
        raise DataError(f"{what} cannot be written in {folder.resolve()}: {error.strerror or error}{advice}") from None

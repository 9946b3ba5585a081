"""Text files as people have them: UTF-8 with or without a byte order mark, UTF-16 with one; else an error that names it."""

import codecs
from pathlib import Path

from scumble.errors import DataError

MARKS = (
    (codecs.BOM_UTF32_LE, "UTF-32"),
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
"""How a file begins -> its encoding; the longer marks first, because UTF-32's begins with UTF-16's."""

MAX_BYTES = 64_000_000
"""A caption or a table of captions that is larger is something else."""


def read_text(path: Path) -> str:
    """The text of a file.

    Raises:
        DataError: in another encoding, larger than 64 MB, or not to be read; says what was found and what to do.
    """
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise DataError(f"{path}: found {size / 1e6:.0f} MB, expected a text of up to {MAX_BYTES / 1e6:.0f} MB")
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from None
    return decoded(content, path)


def decoded(content: bytes, path: Path) -> str:
    """Bytes as text.

    Args:
        content: of a text file.
        path: whose bytes they are, for the message.
    Raises:
        DataError: in another encoding, or no text.
    """
    encoding = next((name for mark, name in MARKS if content.startswith(mark)), "utf-8")
    if encoding == "UTF-32":
        raise DataError(f"{path}: found UTF-32 text, expected UTF-8 or UTF-16: save it as UTF-8")
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}: found byte 0x{content[error.start]:02x} at place {error.start}, which is no {encoding.upper()}: "
            "expected UTF-8, or UTF-16 with a byte order mark: save it as UTF-8"
        ) from None
    if "\0" in text:
        raise DataError(f"{path}: found zero bytes, as in UTF-16 without a byte order mark: save it as UTF-8")
    return text

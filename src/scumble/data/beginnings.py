"""How picture files begin, whatever they are called."""

BEGINNINGS = (
    (b"\x89PNG\r\n\x1a\n", ".png"),
    (b"\xff\xd8\xff", ".jpg"),
    (b"GIF8", ".gif"),
    (b"BM", ".bmp"),
    (b"II*\0", ".tif"),
    (b"MM\0*", ".tif"),
)
"""First bytes of a picture file -> its suffix."""

LONGEST = 12
"""Bytes that say which kind it is."""


def suffix_of(content: bytes) -> str | None:
    """The suffix that a file's first bytes call for; None = no picture that is read here.

    Args:
        content: the first `LONGEST` bytes of the file, or more.
    """
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return ".webp"
    return next((suffix for beginning, suffix in BEGINNINGS if content.startswith(beginning)), None)

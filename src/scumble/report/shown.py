"""Pictures on a report's page: small enough that the page opens at once, and none stretched soft."""

from collections.abc import Sequence
from html import escape
from io import BytesIO
from pathlib import Path

from PIL import Image

from scumble.page import image_tag, thumbnail

SHARP_PX = 128
"""A picture of no more is shown as it is, its pixels as squares: smoothed, it would look out of focus."""


def picture(image: Image.Image, size_px: int, alt: str) -> str:
    """A picture as HTML.

    Args:
        image: RGB.
        size_px: most pixels of its longer side in the page.
        alt: what it shows.
    """
    if max(image.size) > min(SHARP_PX, size_px):
        return image_tag(thumbnail(image, size_px), "jpeg", alt)
    content = BytesIO()
    image.convert("RGB").save(content, "PNG", optimize=True)
    return f'<span class="sharp">{image_tag(content.getvalue(), "png", alt)}</span>'


def picture_file(path: Path, size_px: int, alt: str) -> str:
    """A picture file as HTML; a few words where it cannot be read."""
    try:
        with Image.open(path) as image:
            return picture(image, size_px, alt)
    except (OSError, ValueError):
        return f'<span class="faint">{escape(path.name)} cannot be read</span>'


def card(image: str, *words: str) -> str:
    """A picture with words under it, all HTML."""
    said = "".join(f'<span class="words">{text}</span>' for text in words if text)
    return f'<figure><div class="frame">{image}</div><figcaption>{said}</figcaption></figure>\n'


def cards(parts: Sequence[str], look: str) -> str:
    """Cards side by side; "" where there is none."""
    return f'<div class="{look}">{"".join(parts)}</div>' if parts else ""

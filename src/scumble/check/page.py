"""What the report on a folder of pictures needs beyond the common page: pictures with what is said of them."""

from html import escape

from scumble.data.scan import Example
from scumble.data.thumbnails import Thumbnails
from scumble.page import image_tag
from scumble.quantities import counted

COMMAND = "check"
"""The command whose pages may be written anew."""

STYLE = """
.shape { display: inline-block; border: 1.5px solid var(--faint); vertical-align: middle; }
figure .frame { display: flex; align-items: center; justify-content: center; aspect-ratio: 1; }
figcaption .words { display: block; max-height: 4.1em; overflow: hidden; }
.group { display: flex; flex-wrap: wrap; gap: .6rem; padding: .6rem 0; border-bottom: 1px solid var(--line);
  break-inside: avoid; } .group figure { width: 8.5rem; }
.caption { margin: .5rem 0; overflow-wrap: anywhere; } del { color: var(--bad); }
.frequencies { columns: 12rem; padding: 0; list-style: none; } .frequencies li { break-inside: avoid; padding-left: 3.3rem;
  text-indent: -3.3rem; }
.frequencies b { display: inline-block; min-width: 2.6rem; text-indent: 0; text-align: right; margin-right: .7rem; font-weight: normal;
  color: var(--faint); font-variant-numeric: tabular-nums; }
"""


def figure(example: Example, thumbnails: Thumbnails, name: str, *words: str) -> str:
    """A picture with its name and, as HTML, what is said of it."""
    said = "".join(f'<span class="words">{text}</span>' for text in words)
    return (
        f'<figure><div class="frame">{_image(thumbnails.of(example.path, example.content))}</div><figcaption><span class="file">{escape(name)}</span>'
        f"{said}</figcaption></figure>\n"
    )


def more(number: int, what: str) -> str:
    """What is said of that which is not shown; "" where all is.

    Args:
        number: how many are not.
        what: the word for one of them.
    """
    if number <= 0:
        return ""
    count = counted(number, f"more {what} is", f"more {what}s are")
    return f'<p class="faint">{escape(count)} not shown here; --json lists all.</p>'


def _image(thumbnail: bytes) -> str:
    return image_tag(thumbnail, "jpeg") if thumbnail else ""

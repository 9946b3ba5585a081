"""Where the commands print: texts stay what they are, without colour codes for names and without pictures for :words:."""

from rich.console import Console


def plain_console(stderr: bool = False) -> Console:
    """A console that wraps nothing and replaces nothing in what it is given but rich's own markup.

    Args:
        stderr: print to the standard error.
    """
    return Console(stderr=stderr, soft_wrap=True, highlight=False, emoji=False)

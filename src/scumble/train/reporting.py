"""Which trackers a run reports to, and whether they are there: asked before anything heavy."""

import importlib.metadata
from collections.abc import Sequence

from scumble.errors import ConfigError

BY_CHOICE = ("wandb", "trackio")
"""Trackers whose packages come with the extra "trackers"; TensorBoard is always there."""


def chosen_trackers(asked: Sequence[str]) -> tuple[str, ...]:
    """The trackers by name: none for "none", every one that is installed for "all".

    Raises:
        ConfigError: the package of one is not installed.
    """
    if "all" in asked:
        return ("tensorboard", *(name for name in BY_CHOICE if is_installed(name)))
    missing = [name for name in asked if name in BY_CHOICE and not is_installed(name)]
    if missing:
        raise ConfigError(
            f"report_to={','.join(asked)}: {missing[0]} is not installed: pip install {missing[0]}, or report_to tensorboard"
        )
    return tuple(asked) if asked != ("none",) else ("none",)


def is_installed(package: str) -> bool:
    """Whether a package is; a folder of its name, such as wandb leaves in many places, is none."""
    try:
        importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True

"""Names of plug-ins and where they live: a table, so that listing them imports none of them.

To add one, write its module and put one line here.
"""

import importlib
from typing import Any

from scumble.errors import ConfigError, nearest

PLUGINS: dict[str, dict[str, str]] = {
    "algorithm": {
        "lora": "scumble.adapters.lora",
        "loha": "scumble.adapters.loha",
        "lokr": "scumble.adapters.lokr",
    },
    "family": {
        "sd1": "scumble.families.sd1",
        "sd2": "scumble.families.sd2",
        "sdxl": "scumble.families.sdxl",
    },
    "format": {
        "kohya": "scumble.files.kohya",
        "diffusers": "scumble.files.peft_keys",
        "peft": "scumble.files.peft",
    },
    "captioner": {
        "blip": "scumble.data.captioners.blip",
        "florence": "scumble.data.captioners.florence",
        "wd14": "scumble.data.captioners.wd14",
        "any": "scumble.data.captioners.any_model",
    },
    "metric": {
        "run_loss": "scumble.metrics.run_loss",
        "validation_loss": "scumble.metrics.validation_loss",
        "clip_score": "scumble.metrics.clip_score",
        "similarity": "scumble.metrics.similarity",
        "fid": "scumble.metrics.fid",
        "kid": "scumble.metrics.kid",
        "judge": "scumble.metrics.judged",
        "drift": "scumble.metrics.drift",
        "diversity": "scumble.metrics.diversity",
        "nearest": "scumble.metrics.nearest",
    },
}
"""Kind of plug-in -> name -> module. Families are asked in this order whether a base is theirs; metrics are measured in it."""


def names(kind: str) -> list[str]:
    """The names of all plug-ins of a kind, without importing them."""
    return list(PLUGINS[kind])


def load(kind: str, name: str) -> Any:
    """Import a plug-in's module.

    Raises:
        ConfigError: there is no plug-in of that name.
    """
    try:
        path = PLUGINS[kind][name]
    except KeyError:
        raise ConfigError(f"unknown {kind} '{name}'{nearest(name, names(kind))}") from None
    return importlib.import_module(path)

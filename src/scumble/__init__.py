"""scumble: the LoRA workshop for Stable Diffusion.

    from scumble import TrainConfig, train
    for event in train(TrainConfig(data={"folder": "photos", "trigger": "sks dog"})):
        print(event)

Names are imported when they are first used, so that importing scumble is instant.
"""

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scumble.compare.run import compare
    from scumble.config import CompareConfig, GenerateConfig, TrainConfig
    from scumble.generate.run import generate, pictures
    from scumble.train.loop import train

__version__ = "0.1.0"

_PLACES = {
    "CompareConfig": "scumble.config",
    "GenerateConfig": "scumble.config",
    "TrainConfig": "scumble.config",
    "compare": "scumble.compare.run",
    "generate": "scumble.generate.run",
    "pictures": "scumble.generate.run",
    "train": "scumble.train.loop",
}

__all__ = ["CompareConfig", "GenerateConfig", "TrainConfig", "compare", "generate", "pictures", "train"]


class _Package(ModuleType):
    """The functions train, generate and compare share their names with the packages they live in: the names are theirs."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _PLACES and isinstance(value, ModuleType):
            return  # Python would bind a subpackage here the moment anything in it is imported
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'scumble' has no attribute '{name}'")
    return getattr(importlib.import_module(_PLACES[name]), name)

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
    from scumble.config.edit import ConvertConfig, ExtractConfig, InspectConfig, MergeConfig, ResizeConfig
    from scumble.edit.convert import convert
    from scumble.edit.extract import extract
    from scumble.edit.look import inspect
    from scumble.edit.merge import merge
    from scumble.edit.resize import resize
    from scumble.generate.run import generate, pictures
    from scumble.train.loop import train

__version__ = "0.1.0"

_PLACES = {
    "CompareConfig": "scumble.config",
    "ConvertConfig": "scumble.config.edit",
    "ExtractConfig": "scumble.config.edit",
    "GenerateConfig": "scumble.config",
    "InspectConfig": "scumble.config.edit",
    "MergeConfig": "scumble.config.edit",
    "ResizeConfig": "scumble.config.edit",
    "TrainConfig": "scumble.config",
    "compare": "scumble.compare.run",
    "convert": "scumble.edit.convert",
    "extract": "scumble.edit.extract",
    "generate": "scumble.generate.run",
    "inspect": "scumble.edit.look",
    "merge": "scumble.edit.merge",
    "pictures": "scumble.generate.run",
    "resize": "scumble.edit.resize",
    "train": "scumble.train.loop",
}

__all__ = [
    "CompareConfig",
    "ConvertConfig",
    "ExtractConfig",
    "GenerateConfig",
    "InspectConfig",
    "MergeConfig",
    "ResizeConfig",
    "TrainConfig",
    "compare",
    "convert",
    "extract",
    "generate",
    "inspect",
    "merge",
    "pictures",
    "resize",
    "train",
]


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

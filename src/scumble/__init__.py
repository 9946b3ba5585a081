"""scumble: the LoRA workshop for Stable Diffusion.

    from scumble import TrainConfig, train
    for event in train(TrainConfig(data={"folder": "photos", "trigger": "sks dog"})):
        print(event)

Names are imported when they are first used, so that importing scumble is instant.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scumble.compare import compare
    from scumble.config import CompareConfig, GenerateConfig, TrainConfig
    from scumble.generate import generate, pictures
    from scumble.train.loop import train

__version__ = "0.1.0"

_PLACES = {
    "CompareConfig": "scumble.config",
    "GenerateConfig": "scumble.config",
    "TrainConfig": "scumble.config",
    "compare": "scumble.compare",
    "generate": "scumble.generate",
    "pictures": "scumble.generate",
    "train": "scumble.train.loop",
}

__all__ = ["CompareConfig", "GenerateConfig", "TrainConfig", "compare", "generate", "pictures", "train"]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'scumble' has no attribute '{name}'")
    return getattr(importlib.import_module(_PLACES[name]), name)

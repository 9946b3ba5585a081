"""diffusers with PEFT: load_lora_weights of a pipeline, and the weights after fuse_lora."""

from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from base_models import Base
from reading import Options, Read
from torch import Tensor


def versions(options: Options) -> dict[str, str]:
    """Of what takes part."""
    return {name: version(name) for name in ("diffusers", "peft", "transformers", "torch")}


def reader(base: Base, options: Options) -> Read:
    """A pipeline; every file is read by a copy of it."""
    from copy import deepcopy

    from diffusers import DiffusionPipeline

    ready = DiffusionPipeline.from_pretrained(base.folder, local_files_only=True)

    def read(path: Path) -> Mapping[str, Tensor]:
        components = {
            name: deepcopy(part) if name == "unet" or name.startswith("text_encoder") else part
            for name, part in ready.components.items()
        }
        pipe = type(ready)(**components, **({"requires_safety_checker": False} if len(base.text_parts()) == 1 else {}))
        pipe.load_lora_weights(str(path.parent), weight_name=path.name)
        pipe.fuse_lora(components=["unet", *base.text_parts()])
        return {key: _weight(pipe, key) for key in base.weights}

    return read


def _weight(pipe: Any, key: str) -> Tensor:
    part, _, path = key.partition(".")
    model = getattr(pipe, part)
    if part != "unet" and not hasattr(model, "text_model"):
        path = path.removeprefix("text_model.")
    layer = model.get_submodule(path)
    weight: Tensor = getattr(layer, "base_layer", layer).weight
    return weight

"""Adapters on a loaded base model, by canonical keys; a LoRA file's numbers become adapters at their places."""

from collections.abc import Mapping

from torch import nn

from scumble.adapters.base import Adapter
from scumble.adapters.build import adapter_of
from scumble.adapters.inject import AdaptedLayer, attach
from scumble.errors import LoraFileError
from scumble.families.base import BaseModel
from scumble.files.lorafile import LoraFile

Modules = Mapping[str, nn.Module]
"""Model part -> loaded module."""


def attach_lora(base: BaseModel, modules: Modules, lora: LoraFile, name: str, strength: float = 1.0) -> None:
    """Put every layer of a LoRA on the loaded modules, under one name.

    Args:
        base: tells where a layer lies in the loaded modules.
        modules: at least the parts that the LoRA changes.
        lora: the file, read.
        name: the adapter's name; set_strength and detach know it by that.
        strength: factor on the change.
    Raises:
        LoraFileError: a part or shape of the LoRA does not fit; nothing was changed then.
    """
    attach_adapters(base, modules, lora_adapters(base, modules, lora, name), name, strength)


def attach_adapters(
    base: BaseModel, modules: Modules, adapters: Mapping[str, Adapter], name: str, strength: float = 1.0
) -> None:
    """Put adapters, by canonical key, on the loaded modules, under one name."""
    by_part: dict[str, dict[str, Adapter]] = {}
    for key, adapter in adapters.items():
        part, _, canonical = key.partition(".")
        by_part.setdefault(part, {})[base.module_path(part, canonical, modules[part])] = adapter
    for part, ready in by_part.items():
        attach(modules[part], name, ready, strength)


def lora_adapters(base: BaseModel, modules: Modules, lora: LoraFile, name: str) -> dict[str, Adapter]:
    """Canonical key -> adapter, of every layer of a LoRA.

    Raises:
        LoraFileError: a part or shape of the LoRA does not fit.
    """
    missing = {key.partition(".")[0] for key in lora.layers} - set(modules)
    if missing:
        raise LoraFileError(f"LoRA {name} changes {', '.join(sorted(missing))}, which this base does not have")
    return {
        key: adapter_of(frozen_layer(base, modules, key), layer.algorithm, layer.tensors, layer.rank, layer.alpha, key)
        for key, layer in lora.layers.items()
    }


def frozen_layer(base: BaseModel, modules: Modules, key: str) -> nn.Module:
    """The base's own layer of a canonical key, adapted or not.

    Raises:
        LoraFileError: there is no such layer.
    """
    part, _, canonical = key.partition(".")
    try:
        layer = modules[part].get_submodule(base.module_path(part, canonical, modules[part]))
    except AttributeError:
        raise LoraFileError(f"{key}: the base has no such layer; the LoRA was made for another") from None
    return layer.layer if isinstance(layer, AdaptedLayer) else layer

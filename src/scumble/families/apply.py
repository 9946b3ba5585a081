"""A LoRA file on a loaded base model: each layer's numbers become an adapter at its place."""

from collections.abc import Mapping

from torch import nn

from scumble.adapters.base import Adapter
from scumble.adapters.build import adapter_of
from scumble.adapters.inject import AdaptedLayer, attach
from scumble.errors import LoraFileError
from scumble.families.base import BaseModel
from scumble.files.lorafile import LoraFile, LoraLayer


def attach_lora(
    base: BaseModel, modules: Mapping[str, nn.Module], lora: LoraFile, name: str, strength: float = 1.0
) -> None:
    """Put every layer of a LoRA on the loaded modules, under one name.

    Args:
        base: tells where a layer lies in the loaded modules.
        modules: model part -> loaded module, for at least the parts that the LoRA changes.
        lora: the file, read.
        name: the adapter's name; set_strength and detach know it by that.
        strength: factor on the change.
    Raises:
        LoraFileError: a part or shape of the LoRA does not fit; nothing was changed then.
    """
    missing = {key.partition(".")[0] for key in lora.layers} - set(modules)
    if missing:
        raise LoraFileError(f"LoRA {name} changes {', '.join(sorted(missing))}, which this base does not have")
    ready = {part: _adapters(base, module, part, lora.part(part)) for part, module in modules.items()}
    for part, adapters in ready.items():
        attach(modules[part], name, adapters, strength)


def _adapters(base: BaseModel, module: nn.Module, part: str, layers: Mapping[str, LoraLayer]) -> dict[str, Adapter]:
    adapters: dict[str, Adapter] = {}
    for canonical, layer in layers.items():
        path = base.module_path(part, canonical, module)
        try:
            target = module.get_submodule(path)
        except AttributeError:
            raise LoraFileError(
                f"{part}.{canonical}: the base has no such layer; the LoRA was made for another"
            ) from None
        frozen = target.layer if isinstance(target, AdaptedLayer) else target
        adapters[path] = adapter_of(
            frozen, layer.algorithm, layer.tensors, layer.rank, layer.alpha, f"{part}.{canonical}"
        )
    return adapters

"""Can the naming that is asked for say the LoRA that is to be trained? Asked before any work."""

from collections.abc import Iterable, Mapping

from torch import nn

from scumble.adapters.build import empty_tensors
from scumble.config import AdapterConfig
from scumble.errors import ConfigError, LoraFileError
from scumble.families.apply import frozen_layer
from scumble.families.base import BaseModel
from scumble.files.embeddings import Embeddings
from scumble.files.lorafile import Format, LoraFile, LoraLayer
from scumble.registry import load
from scumble.train.recipes import recipe_for


def planned_layers(
    base: BaseModel, modules: Mapping[str, nn.Module], keys: Iterable[str], adapter: AdapterConfig
) -> dict[str, LoraLayer]:
    """The layers that will be trained, in their shapes and without numbers.

    Args:
        base: tells where a layer lies in the modules.
        modules: model part -> its module, with numbers or without.
        keys: canonical keys of the layers.
        adapter: resolved: rank and alpha are chosen.
    """
    planned = {}
    for key in keys:
        recipe = recipe_for(key, adapter)
        tensors = empty_tensors(frozen_layer(base, modules, key), recipe)
        planned[key] = LoraLayer(recipe.algorithm, tensors, recipe.rank, recipe.effective_alpha)
    return planned


def count_numbers(layers: Mapping[str, LoraLayer], words: Embeddings) -> int:
    """How many numbers will be trained.

    Args:
        layers, words: with numbers or without.
    """
    groups = [*(layer.tensors for layer in layers.values()), *words.values()]
    return sum(tensor.numel() for tensors in groups for tensor in tensors.values())


def refuse_unsayable(format: str, layers: Mapping[str, LoraLayer], base: BaseModel, words: Embeddings) -> None:
    """Raise if layers and words cannot be written in a naming; after the last step would be late.

    Args:
        format: the naming's name in the registry.
        layers: by canonical key, with numbers or without.
        base: what they are for.
        words: with numbers or without.
    Raises:
        ConfigError: says why, and which naming can.
    """
    plugin: Format = load("format", format)
    try:
        metadata = {"ss_base_model_version": base.file_identity().base_version}
        plugin.write(LoraFile(layers, metadata, embeddings=words))
    except LoraFileError as error:
        raise ConfigError(f"format={format}: {error}") from error

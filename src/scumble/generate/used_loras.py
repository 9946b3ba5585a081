"""The LoRA files that a recipe was drawn with: found by their hash, whatever they are called now."""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path

from scumble.errors import ConfigError
from scumble.generate.loras import tensor_hash
from scumble.generate.prompt import FoundLora
from scumble.generate.recipe import LoraUse

Places = Mapping[str, Mapping[str, Sequence[Path]]]
"""Where LoRAs lie, in words -> name -> files."""


def find_used(uses: Sequence[LoraUse], places: Places) -> list[FoundLora]:
    """The files of a recipe's LoRAs. Those of the right name are looked at first; what has no hash goes by its name.

    Raises:
        ConfigError: a file is not among them.
    """
    hashed = cache(tensor_hash)
    return [_find(use, places, hashed) for use in uses]


def _find(use: LoraUse, places: Places, hashed: Callable[[Path], str]) -> FoundLora:
    same_name = [path for files in places.values() for path in files.get(use.name, ())]
    others = [path for files in places.values() for paths in files.values() for path in paths if path not in same_name]
    for path in [*same_name, *(others if use.hash else [])]:
        if hashed(path).startswith(use.hash):
            return FoundLora(use.name, use.weight, path, (), use.blocks, use.text_weight)
    of_hash = f" (hash {use.hash[:12]})" if use.hash else ""
    but = f": {same_name[0]} has its name and is another (hash {hashed(same_name[0])[:12]})" if same_name else ""
    raise ConfigError(
        f"missing is LoRA '{use.name}'{of_hash}; looked among {', '.join(places)}{but}; "
        "give its file by --lora, or its folder by --lora-dir"
    )

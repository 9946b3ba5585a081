"""LoRAs added up to one LoRA, each with a weight."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from pathlib import Path

import torch

from scumble.config.edit import MergeConfig
from scumble.edit.figures import Error
from scumble.edit.given import GivenLora, idle_words, left_out_of, read_alike
from scumble.edit.given_words import all_words, unweighted_words
from scumble.edit.into import MergedBase, merge_into
from scumble.edit.output import PRECISIONS, check_file, check_out
from scumble.edit.provenance import after_merge, as_one_for
from scumble.edit.reduce import Size
from scumble.edit.refit import refitted
from scumble.edit.resize import ranks_of
from scumble.files.lorafile import LoraFile
from scumble.files.read import write_lora


@dataclass(frozen=True)
class Merged:
    """What became of several LoRAs.

    Attributes:
        path: the result.
        made_for: the base or architecture that it is for.
        num_layers: layers.
        ranks: smallest and largest rank of a layer.
        error: of the sum of the changes.
        left_out: path of a LoRA -> names there of the layers and tensors that were not read; only where that was allowed.
        notes: what else the person should know: a LoRA that changes nothing.
    """

    path: Path
    made_for: str
    num_layers: int
    ranks: tuple[int, int]
    error: Error
    left_out: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def merge(config: MergeConfig) -> Merged | MergedBase:
    """Add LoRAs up, or add them to the weights of a base.

    Raises:
        ConfigError: a setting that cannot be, or the result is there already.
        LoraFileError: a file is damaged, no LoRA, or not wholly for the base; they are for different bases; or their sum
            needs a rank to be chosen.
        BaseModelError: the base cannot be opened.
    """
    check_out(config.out, config.overwrite, config.lora)
    if config.into is not None:
        return merge_into(config.lora, config.strengths, config.into, config.out, config.allow_partial)
    check_file(config.out)
    given = read_alike(config.lora, config.base, config.allow_partial)
    dtype = PRECISIONS[config.save_precision] if config.save_precision else _widest(given)
    table = given[0].table
    weighted = list(zip(config.strengths, [one.file for one in given], strict=True))
    layers, error = refitted(weighted, table, Size(config.rank), dtype)
    metadata = after_merge(named_apart(given), config.strengths, config.out.stem)
    file = LoraFile(layers, as_one_for(metadata, table.identity), embeddings=all_words(given))
    write_lora(file, config.out, dtype=dtype)
    notes = (*idle_words(given), *unweighted_words(given, config.strengths))
    return Merged(config.out, table.name, len(layers), ranks_of(layers), error, left_out_of(given), notes)


def named_apart(given: Sequence[GivenLora]) -> dict[str, LoraFile]:
    """The LoRAs by names that differ: one that is there again has a number."""
    found: dict[str, LoraFile] = {}
    for one in given:
        count = sum(name.partition(" #")[0] == one.name for name in found)
        found[f"{one.name} #{count + 1}" if count else one.name] = one.file
    return found


def _widest(given: Sequence[GivenLora]) -> torch.dtype:
    return reduce(torch.promote_types, (one.dtype for one in given))

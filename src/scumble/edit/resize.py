"""A LoRA of lower rank: the nearest one by SVD, of the thin factors alone."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from scumble.config.edit import ResizeConfig
from scumble.edit.change import is_plain
from scumble.edit.figures import Error
from scumble.edit.given import read_given
from scumble.edit.output import PRECISIONS, check_file, check_out
from scumble.edit.provenance import after_change, as_one_for
from scumble.edit.reduce import Size
from scumble.edit.refit import refitted
from scumble.errors import ConfigError, LoraFileError
from scumble.files.lorafile import LoraFile, LoraLayer
from scumble.files.read import write_lora


@dataclass(frozen=True)
class Resized:
    """What became of a LoRA.

    Attributes:
        path: the result.
        made_for: the base or architecture that it is for.
        ranks_before, ranks: smallest and largest rank of a layer.
        num_layers: layers.
        error: of the change.
        left_out: names in the source of the layers and tensors that were not read; only where that was allowed.
    """

    path: Path
    made_for: str
    num_layers: int
    ranks_before: tuple[int, int]
    ranks: tuple[int, int]
    error: Error
    left_out: tuple[str, ...] = ()


def resize(config: ResizeConfig) -> Resized:
    """Write a LoRA whose layers have a lower rank.

    Raises:
        ConfigError: the result is there already, or the rank is no lower.
        LoraFileError: the file is damaged, not plain LoRA, or not wholly for its base.
        BaseModelError: the base that was named cannot be opened.
    """
    check_out(config.out, config.overwrite, (config.file,))
    check_file(config.out)
    given = read_given(config.file, config.base, allow_partial=config.allow_partial)
    _refuse_others(config.file, given.file.layers)
    before = ranks_of(given.file.layers)
    _refuse_no_less(config, before[1])
    dtype = PRECISIONS[config.save_precision] if config.save_precision else given.dtype
    layers, error = refitted([(1.0, given.file)], given.table, Size(config.rank, config.energy), dtype)
    metadata = after_change(as_one_for(given.file.metadata, given.table.identity), "resized_from", given.name)
    write_lora(LoraFile(layers, metadata, embeddings=given.file.embeddings), config.out, dtype=dtype)
    return Resized(config.out, given.table.name, len(layers), before, ranks_of(layers), error, given.file.left_out)


def ranks_of(layers: Mapping[str, LoraLayer]) -> tuple[int, int]:
    """The smallest and the largest rank; 0 where there are no layers."""
    ranks = [layer.rank for layer in layers.values()]
    return min(ranks, default=0), max(ranks, default=0)


def _refuse_no_less(config: ResizeConfig, largest: int) -> None:
    if config.rank is not None and config.energy is None and config.rank >= largest:
        raise ConfigError(
            f"rank={config.rank} would have no effect: no layer of {config.file} has a larger rank than {largest}; give a "
            "smaller one, or --energy; convert --save-precision changes the precision alone"
        )


def _refuse_others(path: Path, layers: Mapping[str, LoraLayer]) -> None:
    if not layers:
        raise LoraFileError(f"{path}: it holds words alone, which have no rank")
    others = sorted(key for key, layer in layers.items() if not is_plain(layer))
    if others:
        raise LoraFileError(
            f"{path}: {len(others)} of {len(layers)} layers are not plain LoRA, first {others[0]}: convert --as-lora RANK "
            "makes a plain LoRA of them"
        )

"""A LoRA in another naming, as plain LoRA, or out of a pickle: read, written, and read back to measure the difference."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from scumble.config.edit import ConvertConfig
from scumble.edit.change import is_plain
from scumble.edit.difference import difference
from scumble.edit.figures import Error
from scumble.edit.given import GivenLora, read_given
from scumble.edit.output import PRECISIONS, check_file, check_out, check_peft_folder
from scumble.edit.programs.readings import in_words, readings_of
from scumble.edit.provenance import after_change, as_one_for
from scumble.edit.reduce import Size
from scumble.edit.refit import refitted
from scumble.errors import ConfigError, LoraFileError, NamingError
from scumble.families.checkpoint import read_header
from scumble.files.detect import format_of
from scumble.files.lorafile import LoraFile, LoraLayer
from scumble.files.read import read_back, read_lora, write_lora, write_words
from scumble.files.stream import contents, write_streamed
from scumble.files.unpickle import is_pickle, unpickle

ROUNDINGS = 16
"""How many times the rounding of its precision the numbers of a result may be off: some are scaled before."""

SMALL = 1e-3
"""What is always let through: of a DoRA the change is a small difference of large numbers."""


@dataclass(frozen=True)
class Converted:
    """What became of a file.

    Attributes:
        path: the result.
        made_for: the base or architecture that the LoRA is for; "" of a file that is no LoRA, whose tensors kept names
            and numbers.
        num_layers: layers of the LoRA, or tensors of another file.
        error: of the change that the result makes, against that of the source.
        left_out: names in the source of the layers and tensors that were not read; only where that was allowed.
        no_tensors: names of what a pickle held besides tensors.
        applied: what other programs apply of the result, in words.
        words: the folder with the LoRA's words in files of their own, where the naming has no place for them.
    """

    path: Path
    made_for: str
    num_layers: int
    error: Error
    left_out: tuple[str, ...] = ()
    no_tensors: tuple[str, ...] = ()
    applied: str = ""
    words: Path | None = None


def convert(config: ConvertConfig) -> Converted:
    """Write a LoRA file in another naming, or the tensors of a pickle as safetensors.

    Raises:
        ConfigError: a setting that cannot be, or the result is there already.
        LoraFileError: the file is damaged, no LoRA, or not wholly for its base; or the naming cannot say it.
        BaseModelError: the base that was named cannot be opened.
    """
    if config.to == "peft":
        check_peft_folder(config.out, config.overwrite)
    else:
        check_file(config.out)
    check_out(config.out, config.overwrite, (config.file,))
    if not is_pickle(config.file):
        return _converted(config, read_given(config.file, config.base, allow_partial=config.allow_partial))
    with _unpickled(config.file) as (path, no_tensors):
        if not _is_lora(path):
            return replace(_kept(config, path), no_tensors=no_tensors)
        given = read_given(path, config.base, allow_partial=config.allow_partial)
        return replace(_converted(config, given), no_tensors=no_tensors)


@contextmanager
def _unpickled(path: Path) -> Iterator[tuple[Path, tuple[str, ...]]]:
    """The tensors of a pickle as a file for a while, and the names of what else it held."""
    with tempfile.TemporaryDirectory(prefix="scumble-") as folder:
        target = Path(folder) / f"{path.stem}.safetensors"
        no_tensors = unpickle(path, target)
        yield target, tuple(no_tensors)


def _is_lora(path: Path) -> bool:
    try:
        format_of(read_header(path, path.name).shapes)
    except LoraFileError:
        return False
    return True


def _kept(config: ConvertConfig, path: Path) -> Converted:
    """A checkpoint or another table of tensors: the same names and numbers in a file that runs nothing."""
    for name in ("to", "base", "as_lora", "save_precision", "allow_partial"):
        if getattr(config, name) not in (None, False):
            raise ConfigError(
                f"{name} would have no effect: {config.file} holds no LoRA, so its tensors are kept as they are; "
                f"leave {name} out"
            )
    found = contents(path)
    write_streamed(config.out, found.entries, found.metadata, found.copied)
    return Converted(config.out, "", len(found.entries), Error(0.0, "", 0.0))


def _converted(config: ConvertConfig, given: GivenLora) -> Converted:
    dtype = PRECISIONS[config.save_precision] if config.save_precision else given.dtype
    file = replace(given.file, metadata=as_one_for(given.file.metadata, given.table.identity))
    if config.as_lora is not None:
        _refuse_idle_fit(config.as_lora, file)
        layers, _ = refitted([(1.0, file)], given.table, Size(rank=config.as_lora), dtype)
        metadata = after_change(file.metadata, "fitted_from", given.name)
        file = LoraFile(layers, metadata, embeddings=file.embeddings)
    apart = file.embeddings if (config.to or "kohya") != "kohya" else {}
    if apart:
        file = _without_words(given, file)
    written, error = _written(config, given, file, dtype)
    words = write_words(replace(written, embeddings=apart), config.out)
    applied = in_words(readings_of(config.out, written, given.table))
    return Converted(
        config.out, given.table.name, len(file.layers), error, given.file.left_out, applied=applied, words=words
    )


def _without_words(given: GivenLora, file: LoraFile) -> LoraFile:
    """The layers alone, for a naming that has no place for words."""
    if not file.layers:
        raise LoraFileError(f"{given.path}: it holds words alone, for which this naming has no place: leave --to out")
    return replace(file, embeddings={})


def _refuse_idle_fit(rank: int, file: LoraFile) -> None:
    largest = max((layer.rank for layer in file.layers.values()), default=0)
    if largest <= rank and all(_is_product(layer) for layer in file.layers.values()):
        raise ConfigError(
            f"as_lora={rank} would have no effect: every layer is a plain LoRA of rank {largest} or less; leave as_lora out"
        )


def _is_product(layer: LoraLayer) -> bool:
    """Whether a layer is a product of two factors, which every naming can say."""
    return is_plain(layer) and "mid" not in layer.tensors


def _written(config: ConvertConfig, given: GivenLora, file: LoraFile, dtype: torch.dtype) -> tuple[LoraFile, Error]:
    """The result as it is read again, and how far it is from the source; nothing is replaced by what is not right.

    Raises:
        NamingError: the naming cannot say it.
        LoraFileError: the result differs by more than its precision rounds, or is not what
            lies there after it was written.
    """
    format, paths = config.to or "kohya", given.table.paths()
    try:
        expected = read_back(file, config.out, paths, format, dtype)
    except NamingError as refusal:
        if all(_is_product(layer) for layer in file.layers.values()):
            raise
        reason = f"{refusal}; or --as-lora RANK makes a plain LoRA of it, which every naming can say"
        raise NamingError(reason) from refusal
    error = difference(expected.layers, given.file.layers, given.table)
    if config.as_lora is None:
        _refuse_loss(config.out, error, dtype)
    write_lora(file, config.out, format, dtype)
    written = read_lora(config.out, paths)
    if difference(written.layers, expected.layers, given.table).relative > 0:
        raise LoraFileError(f"{config.out}: what lies there is not what was written: does another program write there?")
    return written, error


def _refuse_loss(out: Path, error: Error, dtype: torch.dtype) -> None:
    if error.relative > max(SMALL, ROUNDINGS * torch.finfo(dtype).eps):
        raise LoraFileError(
            f"{out} (not written): it would differ by {error.relative:.2g} of the change from the source, most at "
            f"{error.worst_layer}, expected no more than the rounding of {str(dtype).removeprefix('torch.')}: numbers as "
            "small as these need --save-precision fp32"
        )

"""LoRA files that are to be worked on: read for a base, or for the architecture that their names and shapes tell."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from scumble.edit.change import MAGNITUDE, changes_nothing, refuse_misfits
from scumble.edit.provenance import as_one_for
from scumble.errors import LoraFileError
from scumble.families.find import open_base
from scumble.families.layers import LayerTable, known_tables, table_of
from scumble.files.detect import format_of
from scumble.files.folder import read_files
from scumble.files.kinship import Kinship, kinship
from scumble.files.lorafile import Format, LoraFile
from scumble.registry import load


@dataclass(frozen=True)
class GivenLora:
    """A LoRA file, read.

    Attributes:
        path: the file or PEFT folder.
        format: the registry's name of its naming.
        file: what it changes.
        table: the layers that it is for; without weights unless a base was named.
    """

    path: Path
    format: str
    file: LoraFile
    table: LayerTable

    @property
    def name(self) -> str:
        """What to call it in other files: never a path of this machine."""
        return self.path.name if self.path.is_dir() else self.path.stem

    @property
    def dtype(self) -> torch.dtype:
        """The widest precision of its numbers; not of DoRA's lengths, which are always stored in full."""
        dtypes = {
            tensor.dtype
            for layer in self.file.layers.values()
            for name, tensor in layer.tensors.items()
            if name != MAGNITUDE
        }
        widest = dtypes.pop() if dtypes else torch.float32
        for dtype in dtypes:
            widest = torch.promote_types(widest, dtype)
        return widest


def read_given(
    path: Path, base: str | None = None, table: LayerTable | None = None, allow_partial: bool = False
) -> GivenLora:
    """Read a LoRA file for a base.

    Args:
        path: a .safetensors file or PEFT folder.
        base: hub id, folder, checkpoint file or the name of a base in the box; None = found by names and shapes, and by
            what the file says where several architectures share them.
        table: of a base that is open already, in place of its name.
        allow_partial: read what is for the base and leave out the rest, see `LoraFile.left_out`; without a base, for the
            architecture that least is left out for.
    Raises:
        LoraFileError: damaged, no LoRA, or not wholly for this base; without a base, for no architecture that is known,
            or for several.
        BaseModelError: the base cannot be opened.
    """
    tensors, metadata = read_files(path)
    try:
        format = format_of(tensors)
        if table is None and base is not None:
            table = table_of(open_base(base))
        if table is not None:
            return GivenLora(path, format, _read_for(table, format, tensors, metadata, allow_partial), table)
        return _read_for_known(path, format, tensors, metadata, allow_partial)
    except LoraFileError as error:
        raise LoraFileError(f"{path}: {error}") from error


def kinship_of(given: GivenLora) -> Kinship:
    """How the base that a LoRA was read for is related to the one it was trained on.

    Args:
        given: read for a base whose weights are there.
    """
    paths = given.file.part("unet")
    table = given.table
    return kinship(given.file.metadata, table.name, lambda: {path: table.weight(f"unet.{path}") for path in paths})


def idle_words(given: Sequence[GivenLora]) -> tuple[str, ...]:
    """What to say of those LoRAs that change nothing."""
    idle = [one.path.name for one in given if changes_nothing(one.file, one.table)]
    return tuple(f"{name} changes nothing: all its changes are zero (was it saved before training?)" for name in idle)


def read_alike(paths: Sequence[Path], base: str | None = None, allow_partial: bool = False) -> list[GivenLora]:
    """Read several LoRA files for one base.

    Args:
        paths, base, allow_partial: see `read_given`.
    Raises:
        LoraFileError: they are for different ones, or one cannot be read; see `read_given`.
        BaseModelError: the base cannot be opened.
    """
    table = table_of(open_base(base)) if base is not None else None
    given = [read_given(path, table=table, allow_partial=allow_partial) for path in paths]
    other = next((one for one in given if one.table.name != given[0].table.name), None)
    if other is not None:
        raise LoraFileError(
            f"{given[0].path} is for {given[0].table.name} and {other.path} for {other.table.name}: expected LoRAs for "
            "one base"
        )
    return given


def left_out_of(given: Sequence[GivenLora]) -> dict[str, tuple[str, ...]]:
    """What was not read of the files, by their paths; only those of which not all was."""
    return {str(one.path): one.file.left_out for one in given if one.file.left_out}


def _read_for(
    table: LayerTable, format: str, tensors: Mapping[str, Tensor], metadata: Mapping[str, str], allow_partial: bool
) -> LoraFile:
    plugin: Format = load("format", format)
    file = plugin.read(tensors, metadata, table.paths(), allow_partial)
    refuse_misfits(file, table)
    return file


def _read_for_known(
    path: Path, format: str, tensors: Mapping[str, Tensor], metadata: Mapping[str, str], allow_partial: bool
) -> GivenLora:
    found: list[GivenLora] = []
    in_part: list[GivenLora] = []
    why_not: dict[str, LoraFileError] = {}
    for table in known_tables():
        try:
            found.append(GivenLora(path, format, _read_for(table, format, tensors, metadata, False), table))
        except LoraFileError as error:
            why_not[table.name] = error
            with suppress(LoraFileError):
                in_part.append(GivenLora(path, format, _read_for(table, format, tensors, metadata, True), table))
    least = min((len(one.file.left_out) for one in in_part), default=0)
    nearest = [one for one in in_part if len(one.file.left_out) == least]
    candidates = found or (nearest if allow_partial else [])
    told = [one for one in candidates if as_one_for(metadata, one.table.identity) == metadata]
    if len(candidates) == 1 or len(told) == 1:
        return (told or candidates)[0]
    if candidates:
        names = " and ".join(one.table.name for one in candidates)
        raise LoraFileError(f"its names and shapes are of {names} alike: say with --base which it is for")
    name = nearest[0].table.name if nearest else next(iter(why_not))
    raise LoraFileError(
        f"its names and shapes are of none of {', '.join(why_not)}; as one for {name}: {why_not[name]}; if it is for "
        "another base, give --base"
    )

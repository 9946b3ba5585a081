"""LoRAs added to the weights of a base, a tensor at a time: the result has the base's layout, names and precision."""

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from scumble.edit.change import MAGNITUDE, whole_change
from scumble.edit.figures import Error, ErrorSum
from scumble.edit.given import GivenLora, idle_words, kinship_of, left_out_of, read_given
from scumble.edit.given_words import refuse_words_in
from scumble.edit.output import check_file
from scumble.errors import BaseModelError, ConfigError, LoraFileError
from scumble.families.checkpoint import read_header
from scumble.families.convert import EMA_PREFIX, UNET
from scumble.families.find import open_base
from scumble.families.layers import LayerTable, table_of
from scumble.families.stored import StoredWeight
from scumble.families.weights import opened
from scumble.files.atomic import whole_folder
from scumble.files.places import FILE_SUFFIX
from scumble.files.stream import Entry, bytes_of_tensor, contents, write_streamed

INDEX = "model_index.json"
STALE = (".bin", ".ckpt", ".pt", ".pth", ".msgpack", ".onnx", ".h5")
"""Weights in forms that are not merged: beside merged ones they would be those of another model."""

HASHES = ("modelspec.hash_sha256", "sshs_model_hash", "sshs_legacy_hash")


@dataclass(frozen=True)
class MergedBase:
    """What became of a base.

    Attributes:
        path: the result, a folder or file as the base is.
        made_for: the base.
        num_layers: layers that were changed.
        num_tensors: tensors that were changed; a folder may hold a layer in several precisions.
        numbers: formats of the changed tensors, as torch names them, which the result is rounded to.
        error: what rounding to the base's precision takes of the change: |result - (base + change)| / |change|.
        left_out: path of a LoRA -> names there of the layers and tensors that were not read; only where that was allowed.
        notes: what the person should know: a LoRA that changes nothing or is of another base, what of the base was left out or left as it was.
    """

    path: Path
    made_for: str
    num_layers: int
    num_tensors: int
    numbers: tuple[str, ...]
    error: Error
    left_out: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def merge_into(
    paths: Sequence[Path], weights: Sequence[float], base: str, out: Path, allow_partial: bool = False
) -> MergedBase:
    """Write a base with LoRAs in its weights: base + sum of weight x change in float32, rounded once.

    Args:
        paths: LoRA files.
        weights: of each.
        base: hub id, pipeline folder or checkpoint file.
        out: folder or file, as the base is; asked for already.
        allow_partial: see `given.read_given`.
    Raises:
        ConfigError: a file for a folder, or the other way round; or a folder is there that is no pipeline folder.
        LoraFileError: a LoRA is not wholly for this base; or it is a DoRA that is to be taken away.
        BaseModelError: the base cannot be opened.
    """
    model = open_base(base)
    _check_kind(model.path, out)
    table = table_of(model)
    given = [read_given(path, table=table, allow_partial=allow_partial) for path in paths]
    _refuse_taking_dora_away(given, weights)
    refuse_words_in(given)
    merging = _Merging(table, list(zip(weights, given, strict=True)))
    if model.path.is_file():
        merging.rewrite(model.path, out)
        notes = _notes_on_averages(model.path)
    else:
        notes = _merged_folder(merging, model.path, out)
    related = [(one.path.name, kinship_of(one)) for one in given]
    strangers = tuple(f"{name}: {known.words}" for name, known in related if not known.is_own)
    return MergedBase(
        path=out,
        made_for=base,
        num_layers=len(merging.keys),
        num_tensors=merging.num_tensors,
        numbers=tuple(sorted(merging.numbers)),
        error=merging.total.error(),
        left_out=left_out_of(given),
        notes=(*idle_words(given), *strangers, *notes),
    )


def _check_kind(base: Path, out: Path) -> None:
    if base.is_file():
        check_file(out)
    elif out.suffix.lower() == ".safetensors" or out.is_file():
        raise ConfigError(f"out={out}: the base is a pipeline folder, and so is the result; name a folder")
    elif out.is_dir() and any(out.iterdir()) and not (out / INDEX).is_file():
        raise ConfigError(f"out={out}: a folder that is no pipeline folder is not replaced; give another name")
    elif out.resolve() in base.resolve().parents or out.resolve() == base.resolve():
        raise ConfigError(f"out={out}: the base lies there; give another name")


def _refuse_taking_dora_away(given: Sequence[GivenLora], weights: Sequence[float]) -> None:
    for one, weight in zip(given, weights, strict=True):
        if weight < 0 and any(MAGNITUDE in layer.tensors for layer in one.file.layers.values()):
            raise LoraFileError(
                f"{one.path}: a DoRA with weight {weight:g}: its change depends on the weights it is added to, so that it "
                "cannot be taken away from a merged base; keep the base as it was"
            )


class _Merging:
    """The changes, ready to be added to any file of the base.

    Args:
        table: the base's layers.
        loras: weights and LoRAs.
    """

    def __init__(self, table: LayerTable, loras: Sequence[tuple[float, GivenLora]]) -> None:
        self.table = table
        self.loras = loras
        self.keys = sorted({key for _, one in loras for key in one.file.layers})
        self.places: dict[Path, dict[str, list[tuple[str, StoredWeight]]]] = {}
        for key in self.keys:
            for stored in table.stored[key]:
                self.places.setdefault(stored.file, {}).setdefault(stored.name, []).append((key, stored))
        self.total = ErrorSum()
        self.numbers: set[str] = set()
        self.num_tensors = 0

    def rewrite(self, source: Path, target: Path) -> None:
        """A file of the base with the changes in its tensors: the same order, names, shapes and number formats."""
        found = contents(source)
        places = self.places[source]
        self.num_tensors += len(places)

        def bytes_of(entry: Entry) -> Iterator[bytes]:
            if entry.name not in places:
                return found.copied(entry)
            return bytes_of_tensor(self._changed(source, entry.name))

        write_streamed(target, found.entries, self._metadata(found.metadata), bytes_of)

    def _changed(self, file: Path, name: str) -> Tensor:
        with opened(file, self.table.name) as stream:
            tensor: Tensor = stream.get_tensor(name)
        if not tensor.is_floating_point():
            raise LoraFileError(f"{file}: {name} has numbers of {tensor.dtype}, expected floating-point numbers")
        result = tensor.float()
        changes = []
        for key, stored in self.places[file][name]:
            begin, end = stored.rows or (0, len(result))
            change = self._change(key)
            result[begin:end] += change
            changes.append((key, begin, end, float(change.double().square().sum())))
        rounded = result.to(tensor.dtype)
        self.numbers.add(str(tensor.dtype).removeprefix("torch."))
        lost = rounded.float() - result
        for key, begin, end, square in changes:
            self.total.add(f"{file.name}: {key}", float(lost[begin:end].double().square().sum()), square)
        return rounded

    def _change(self, key: str) -> Tensor:
        """The sum of weight x change, float32."""
        total = torch.zeros(self.table.shapes[key])
        for weight, one in self.loras:
            if key in one.file.layers:
                total += weight * whole_change(key, one.file.layers[key], self.table)
        return total

    def _metadata(self, metadata: Mapping[str, str]) -> dict[str, str]:
        kept = {name: text for name, text in metadata.items() if name not in HASHES}
        made_from = [{"name": one.name, "weight": weight} for weight, one in self.loras]
        before = [metadata["modelspec.merged_from"]] if "modelspec.merged_from" in metadata else []
        return {
            **kept,
            "modelspec.merged_from": ", ".join([*before, *(one.name for _, one in self.loras)]),
            "scumble.merged_from": json.dumps(made_from, ensure_ascii=False),
        }


def _notes_on_averages(path: Path) -> tuple[str, ...]:
    averages = [entry.name for entry in contents(path).entries if entry.name.startswith(EMA_PREFIX)]
    said = f"{len(averages)} averaged (EMA) weights are left as they were; programs draw with the others"
    return (said,) if averages else ()


def _merged_folder(merging: _Merging, base: Path, out: Path) -> tuple[str, ...]:
    """A pipeline folder beside its place, then in it; what could not be merged is not in it, and named."""
    parts = {key.partition(".")[0] for key in merging.keys}
    left_out = []
    with whole_folder(out) as beside:
        for source in sorted(path for path in base.rglob("*") if path.is_file()):
            inside = source.relative_to(base)
            target = beside / inside
            if source in merging.places:
                target.parent.mkdir(parents=True, exist_ok=True)
                merging.rewrite(source, target)
            elif _is_stale(source, inside, parts):
                left_out.append(inside.as_posix())
            else:
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, target)
    return tuple(f"{name} is left out: these weights are not merged in" for name in left_out)


def _is_stale(source: Path, inside: Path, parts: set[str]) -> bool:
    """Whether a file holds weights that are now other ones: of a changed part, or of the whole base in one file.

    Args:
        source: the file.
        inside: its path in the base's folder.
        parts: the model parts that change.
    """
    suffix = inside.suffix.lower()
    if len(inside.parts) == 1:
        return suffix in STALE or (suffix == FILE_SUFFIX and _may_be_whole_base(source))
    return inside.parts[0] in parts and suffix in STALE


def _may_be_whole_base(file: Path) -> bool:
    try:
        return read_header(file, file.name).has(UNET.prefix)
    except BaseModelError:
        return True  # what cannot be read is not said to be of the merged base

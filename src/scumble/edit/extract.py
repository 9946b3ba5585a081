"""The difference of a tuned model and its base as a LoRA: of each layer the nearest matrix of low rank."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from scumble.config.edit import ExtractConfig
from scumble.edit.figures import Error, ErrorSum
from scumble.edit.output import PRECISIONS, check_file, check_out
from scumble.edit.provenance import after_extraction
from scumble.edit.reduce import Size, as_layer, common_alpha, fitted
from scumble.edit.resize import ranks_of
from scumble.edit.svd import Thin
from scumble.errors import BaseModelError
from scumble.families.find import is_local, open_base
from scumble.families.layers import LayerTable, table_of
from scumble.families.weights import opened
from scumble.files.fingerprint import fingerprint
from scumble.files.lorafile import LoraFile, LoraLayer
from scumble.files.read import write_lora


@dataclass(frozen=True)
class Extracted:
    """What became of the difference of two models.

    Attributes:
        path: the result.
        made_for: the base.
        num_layers: layers of the LoRA.
        num_equal: layers that are the same in both models, and not in the LoRA.
        ranks: smallest and largest rank of a layer.
        error: of the difference, over all layers.
        beyond: names of tensors that differ and that no LoRA can say: norms, biases, embeddings. None = not looked at,
            because one model is a folder and the other a file.
    """

    path: Path
    made_for: str
    num_layers: int
    num_equal: int
    ranks: tuple[int, int]
    error: Error
    beyond: tuple[str, ...] | None


def extract(config: ExtractConfig) -> Extracted:
    """Write the difference of two models as a LoRA.

    Raises:
        ConfigError: a setting that cannot be, or the result is there already.
        BaseModelError: a model cannot be opened, or they are of different architectures, or equal.
    """
    check_out(config.out, config.overwrite)
    check_file(config.out)
    base, tuned = (table_of(open_base(name)) for name in (config.base, config.tuned))
    _refuse_other_architecture(base, tuned)
    size = Size(config.rank, config.energy)
    changes = dict(_fitted_differences(base, tuned, size))
    if not changes:
        raise BaseModelError(f"{config.base} and {config.tuned}: no layer differs, so there is nothing to extract")
    dtype = PRECISIONS[config.save_precision] if config.save_precision else _stored_dtype(tuned)
    layers, error = _as_layers(changes, base, tuned, dtype)
    metadata = after_extraction(_named(config.base), _named(config.tuned), base.identity, config.out.stem)
    metadata |= _fingerprint(base, layers)
    write_lora(LoraFile(layers, metadata), config.out, dtype=dtype)
    beyond = _others_that_differ(base, tuned)
    num_equal = len(base.shapes) - len(layers)
    return Extracted(config.out, config.base, len(layers), num_equal, ranks_of(layers), error, beyond)


def _fingerprint(base: LayerTable, layers: Mapping[str, LoraLayer]) -> dict[str, str]:
    """Of the base's layers in the denoiser that change, as training writes it, for `kinship`."""
    paths = LoraFile(layers).part("unet")
    return {"scumble.fingerprint": fingerprint({path: base.weight(f"unet.{path}") for path in paths})} if paths else {}


def _refuse_other_architecture(base: LayerTable, tuned: LayerTable) -> None:
    odd = sorted(
        key for key in base.shapes.keys() | tuned.shapes.keys() if base.shapes.get(key) != tuned.shapes.get(key)
    )
    if odd:
        raise BaseModelError(
            f"{base.name} and {tuned.name} differ in the shapes of {len(odd)} layers, first {odd[0]}: "
            f"{base.shapes.get(odd[0], 'none')} and {tuned.shapes.get(odd[0], 'none')}; expected a base and what was "
            "tuned from it"
        )


def _difference(base: LayerTable, tuned: LayerTable, key: str) -> torch.Tensor:
    return tuned.weight(key).float() - base.weight(key).float()


def _fitted_differences(base: LayerTable, tuned: LayerTable, size: Size) -> Iterator[tuple[str, Thin]]:
    for key in base.shapes:
        change = _difference(base, tuned, key)
        if bool(change.any()):
            yield key, fitted(change, size)


def _as_layers(
    changes: Mapping[str, Thin], base: LayerTable, tuned: LayerTable, dtype: torch.dtype
) -> tuple[dict[str, LoraLayer], Error]:
    """Layers in the precision of the file, and how far they are from the difference of the weights."""
    alpha = common_alpha(changes)
    total = ErrorSum()
    layers = {}
    for key, change in changes.items():
        layer = layers[key] = as_layer(change, base.shapes[key], alpha, dtype)
        exact = _difference(base, tuned, key).flatten(1)
        up, down = (layer.tensors[name].float().flatten(1) for name in ("up", "down"))
        residual = torch.addmm(exact, up, down, alpha=-layer.scale)
        total.add(key, float(residual.double().square().sum()), float(exact.double().square().sum()))
    return layers, total.error()


def _stored_dtype(tuned: LayerTable) -> torch.dtype:
    """The precision of the tuned model's weights, if it is one of files."""
    dtype = tuned.weight(next(iter(tuned.shapes))).dtype
    return dtype if dtype in PRECISIONS.values() else torch.float16


def _named(name: str) -> str:
    """What to call a model in other files: never a path of this machine."""
    return Path(name).stem if is_local(name) else name


def _others_that_differ(base: LayerTable, tuned: LayerTable) -> tuple[str, ...] | None:
    """Names of the tensors beside the layers' weights that differ, in the files that hold these."""
    ours, theirs = _other_tensors(base), _other_tensors(tuned)
    if ours.keys() != theirs.keys():
        return None
    found = []
    for name in ours:
        with opened(ours[name][0], base.name) as one, opened(theirs[name][0], tuned.name) as other:
            first, second = one.get_tensor(ours[name][1]), other.get_tensor(theirs[name][1])
            if first.shape != second.shape or not torch.equal(first.float(), second.float()):
                found.append(name)
    return tuple(found)


def _other_tensors(table: LayerTable) -> dict[str, tuple[Path, str]]:
    """A name that tells it apart -> file and name of the tensors beside the layers' weights; not the autoencoder's."""
    own = {(stored.file, stored.name): key for key, places in table.stored.items() for stored in places[:1]}
    begins = {name.partition(".")[0] for _, name in own}
    parts = {file: key.partition(".")[0] for (file, _), key in own.items()}
    is_folder = len({file for file, _ in own}) > 1
    found: dict[str, tuple[Path, str]] = {}
    for file, part in parts.items():
        with opened(file, table.name) as stream:
            for name in stream.keys():  # noqa: SIM118
                if (file, name) not in own and (is_folder or name.partition(".")[0] in begins):
                    found[f"{part}: {name}" if is_folder else name] = (file, name)
    return found

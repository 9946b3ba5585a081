"""Loose tensors put together into layers. Every doubt is an error that names the tensors in question."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from scumble.errors import LoraFileError
from scumble.files.layouts import is_scaled, missing_tensors, rank_of, sizes_of
from scumble.files.lorafile import LoraLayer
from scumble.files.magnitude import canonical_magnitude, from_peft
from scumble.files.namings import Known
from scumble.files.tensornames import ALPHA, MAGNITUDE, PEFT_MAGNITUDE, TensorName, algorithm_not_read

Split = Callable[[str], tuple[str, TensorName] | None]
"""A tensor's name -> its layer's name and what it is; None if it is not understood."""

Loose = dict[str, dict[TensorName, Tensor]]
"""A layer's name in the file -> its tensors."""

BY_PART = "--allow-partial reads the rest and names what it leaves out"
"""What helps where a file is understood in part."""

ATTENTION = ("q_proj", "k_proj", "v_proj", "out_proj")
LONGEST_NAME = 160


@dataclass(frozen=True)
class Assembled:
    """What became of the tensors of a file.

    Attributes:
        layers: by canonical key.
        left_out: names of layers and tensors that were not read; only where a part was allowed.
        states_alpha: canonical keys of the layers with which an alpha was stored.
    """

    layers: dict[str, LoraLayer]
    left_out: tuple[str, ...]
    states_alpha: frozenset[str]


def assemble(tensors: Mapping[str, Tensor], split: Split, known: Known, allow_partial: bool) -> Assembled:
    """Layers by canonical key.

    Args:
        tensors: all of the file, by their names there.
        split: how the file's names are to be understood.
        known: the names that layers of the base may have.
        allow_partial: leave out what is not understood, incomplete, or matches no layer.
    Raises:
        LoraFileError: a tensor is not understood, lacks its partner, is there twice, or has a shape that does not fit; a
            name matches no layer or more than one; or nothing is left.
    """
    loose, unknown = _sorted_by_layer(tensors, split)
    incomplete = {name: lacking for name, sides in loose.items() if (lacking := _lacking(name, sides))}
    unmatched = [name for name in loose if name not in known]
    if not allow_partial:
        _refuse_unknown(unknown, len(tensors))
        _refuse_incomplete(incomplete, loose)
        _refuse_unmatched(unmatched, len(loose))
    left_out = {*unknown, *incomplete, *unmatched}
    layers: dict[str, LoraLayer] = {}
    states_alpha = set()
    for name in sorted(loose.keys() - left_out):
        key = _only_key(name, known)
        if key in layers:
            raise LoraFileError(
                f"{key} is there twice, the second time as {shortened(name)}: expected one LoRA in the file"
            )
        layers[key] = _layer(name, loose[name])
        if ALPHA in loose[name]:
            states_alpha.add(key)
    if not layers:
        _refuse_unmatched(unmatched or list(left_out), len(loose) or len(tensors))
    return Assembled(layers, tuple(sorted(left_out)), frozenset(states_alpha))


def with_whole_attention(layers: Mapping[str, LoraLayer]) -> dict[str, LoraLayer]:
    """The layers, and zeros for q, k, v and out of a text encoder's attention if only some of them are there.

    diffusers drops q, k and v of a text encoder without out, and the WebUI skips such a layer too.
    """
    whole = dict(layers)
    for key, layer in layers.items():
        block, _, last = key.rpartition(".")
        if key.startswith("text_encoder") and last in ATTENTION:
            # a magnitude of zero would be no weight at all, rather than no change
            numbers = {side: tensor for side, tensor in layer.tensors.items() if side != MAGNITUDE.name}
            for name in ATTENTION:
                zeros = {side: torch.zeros_like(tensor) for side, tensor in numbers.items()}
                whole.setdefault(f"{block}.{name}", LoraLayer(layer.algorithm, zeros, layer.rank, layer.alpha))
    return whole


def first_names(names: Iterable[str], count: int = 3) -> str:
    """The first few names for a message."""
    found = sorted(names)
    return ", ".join(map(shortened, found[:count])) + (", ..." if len(found) > count else "")


def shortened(name: str) -> str:
    """A name from a file, short enough for a message."""
    return name if len(name) <= LONGEST_NAME else name[:LONGEST_NAME] + "..."


def _sorted_by_layer(tensors: Mapping[str, Tensor], split: Split) -> tuple[Loose, list[str]]:
    loose: Loose = {}
    unknown = []
    for key, tensor in tensors.items():
        found = split(key)
        if found is None:
            unknown.append(key)
            continue
        name, side = found
        if side in loose.setdefault(name, {}):
            raise LoraFileError(f"{shortened(key)} is there twice, in two spellings: expected one LoRA in the file")
        loose[name][side] = tensor
    return loose, unknown


def _algorithm(name: str, sides: Mapping[TensorName, Tensor]) -> str:
    algorithms = sorted({side.algorithm for side in sides if side.algorithm})
    if len(algorithms) > 1:
        raise LoraFileError(
            f"{shortened(name)}: found tensors of {' and '.join(algorithms)}, expected one algorithm at a layer"
        )
    return algorithms[0] if algorithms else "lora"


def _factors(algorithm: str, sides: Mapping[TensorName, Tensor]) -> dict[str, Tensor]:
    return {side.name: tensor for side, tensor in sides.items() if side.algorithm == algorithm}


def _lacking(name: str, sides: Mapping[TensorName, Tensor]) -> set[str]:
    algorithm = _algorithm(name, sides)
    return missing_tensors(algorithm, _factors(algorithm, sides))


def _refuse_unknown(keys: Sequence[str], total: int) -> None:
    if not keys:
        return
    others = sorted({algorithm for key in keys if (algorithm := algorithm_not_read(key))})
    what = f"; among them is {' and '.join(others)}, which is not read" if others else ""
    raise LoraFileError(
        f"{len(keys)} of {total} tensors are not understood: {first_names(keys)}{what}; expected LoRA, LoHa or LoKr, "
        f"with DoRA or without; {BY_PART}"
    )


def _refuse_incomplete(incomplete: Mapping[str, set[str]], loose: Loose) -> None:
    if not incomplete:
        return
    name = min(incomplete)
    found = " and ".join(sorted(side.name for side in loose[name]))
    raise LoraFileError(
        f"{len(incomplete)} of {len(loose)} layers are incomplete: {shortened(name)}: found {found} without "
        f"{' and '.join(sorted(incomplete[name]))}; get the file again, or {BY_PART}"
    )


def _refuse_unmatched(unmatched: Sequence[str], total: int) -> None:
    if not unmatched:
        return
    how_many = (
        f"none of the {total} layers matches anything"
        if len(unmatched) == total
        else f"{len(unmatched)} of {total} layers match nothing"
    )
    instead = "" if len(unmatched) == total else f"; or {BY_PART}"
    raise LoraFileError(
        f"{how_many} in this base: {first_names(unmatched)}; the LoRA was made for another base: use it with that one"
        f"{instead}"
    )


def _only_key(name: str, known: Known) -> str:
    if len(known[name]) > 1:
        raise LoraFileError(
            f"{shortened(name)} may be any of {', '.join(known[name])}: this base needs a naming that tells them apart"
        )
    return known[name][0]


def _layer(name: str, sides: Mapping[TensorName, Tensor]) -> LoraLayer:
    name = shortened(name)
    odd = [str(tensor.dtype) for side, tensor in sides.items() if side != ALPHA and not tensor.is_floating_point()]
    if odd:
        raise LoraFileError(f"{name}: found {odd[0]}, expected floating-point numbers")
    algorithm = _algorithm(name, sides)
    tensors = _factors(algorithm, sides)
    sizes = sizes_of(name, algorithm, tensors)
    if MAGNITUDE in sides and PEFT_MAGNITUDE in sides:
        raise LoraFileError(f"{name}: found two DoRA magnitudes, expected one")
    if MAGNITUDE in sides:
        tensors[MAGNITUDE.name] = canonical_magnitude(name, sides[MAGNITUDE], sizes)
    if PEFT_MAGNITUDE in sides:
        tensors[MAGNITUDE.name] = from_peft(name, sides[PEFT_MAGNITUDE], sizes)
    rank = rank_of(sizes)
    # without alpha the scale is 1, as every reader has it
    alpha = _number(name, sides[ALPHA]) if ALPHA in sides else None
    if not is_scaled(sizes):
        return LoraLayer(algorithm, tensors, 1, 1.0, idle_alpha=alpha)
    return LoraLayer(algorithm, tensors, rank, float(rank) if alpha is None else alpha)


def _number(name: str, alpha: Tensor) -> float:
    if alpha.numel() != 1:
        raise LoraFileError(f"{name}: found alpha of shape {list(alpha.shape)}, expected one number")
    return float(alpha.item())

"""Loose tensors put together into layers. Every doubt is an error that names the tensors in question."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NoReturn

import torch
from torch import Tensor

from scumble.errors import LoraFileError
from scumble.files.lorafile import LoraLayer

Loose = dict[str, dict[str, Tensor]]
"""A layer's name in the file -> "down" [r, in], "up" [out, r] and maybe "alpha" [] of it."""

NOT_THERE_YET = {
    "hada_": "LoHa",
    "lokr_": "LoKr",
    "dora_scale": "DoRA",
    "lora_magnitude_vector": "DoRA",
    "lora_mid": "a Tucker convolution",
    "glora": "GLoRA",
    "oft_": "OFT",
    "diff": "a full weight difference",
    "w_norm": "a norm layer",
    "b_norm": "a norm layer",
}
"""How the names of tensors begin that other algorithms use -> what they are."""

ATTENTION = ("q_proj", "k_proj", "v_proj", "out_proj")


def refuse_other_algorithms(keys: Iterable[str]) -> None:
    """Raise for tensors of an algorithm that is known but not read yet.

    Raises:
        LoraFileError: names the tensor and the algorithm.
    """
    for key in keys:
        for begin, algorithm in NOT_THERE_YET.items():
            if f".{begin}" in key:
                tensor = key[key.index(f".{begin}") + 1 :]
                raise LoraFileError(
                    f"{tensor}: {algorithm} is not there yet (found {key}); expected a plain LoRA of linear layers"
                )


def refuse_unknown(keys: Sequence[str], total: int, expected: str) -> None:
    """Raise if there are tensors whose names mean nothing.

    Raises:
        LoraFileError: how many of how many, the first names, and what was expected.
    """
    if keys:
        raise LoraFileError(
            f"{len(keys)} of {total} tensors are not understood: {first_names(keys)}; expected names that end in "
            f"{expected}"
        )


def spellings(part: str, path: str) -> Iterator[str]:
    """A layer's path as files may spell it: the canonical one, and newer transformers' without `text_model`."""
    yield path
    if part.startswith("text_encoder") and path.startswith("text_model."):
        yield path.removeprefix("text_model.")


def assemble(loose: Loose, known: Mapping[str, Sequence[str]]) -> dict[str, LoraLayer]:
    """Layers by canonical key.

    Args:
        loose: the file's tensors by layer.
        known: name as the file may spell it -> canonical keys of the base's layers that are spelled so.
    Raises:
        LoraFileError: a tensor lacks its partner, shapes do not fit, or a name matches no layer or more than one.
    """
    for name, sides in loose.items():
        _refuse_incomplete(name, sides)
        _refuse_bad_shapes(name, sides)
    _refuse_unmatched(loose, known)
    layers: dict[str, LoraLayer] = {}
    for name, sides in sorted(loose.items()):
        if len(known[name]) > 1:
            raise LoraFileError(f"{name} may be any of {', '.join(known[name])}: this base needs the diffusers naming")
        key = known[name][0]
        if key in layers:
            raise LoraFileError(f"{key} is there twice, the second time as {name}: expected one LoRA in the file")
        layers[key] = _layer(sides)
    return layers


def with_whole_attention(layers: Mapping[str, LoraLayer]) -> dict[str, LoraLayer]:
    """The layers, and zeros for q, k, v and out of a text encoder's attention if only some of them are there.

    diffusers drops q, k and v of a text encoder without out, and the WebUI skips such a layer too.
    """
    whole = dict(layers)
    for key, layer in layers.items():
        block, _, last = key.rpartition(".")
        if key.startswith("text_encoder") and last in ATTENTION:
            for name in ATTENTION:
                zeros = {side: torch.zeros_like(tensor) for side, tensor in layer.tensors.items()}
                whole.setdefault(f"{block}.{name}", LoraLayer(layer.algorithm, zeros, layer.rank, layer.alpha))
    return whole


def linear_sides(key: str, layer: LoraLayer) -> tuple[Tensor, Tensor]:
    """A [r, in] and B [out, r] of a layer that is to be written.

    Raises:
        LoraFileError: the layer's algorithm is not LoRA.
    """
    if layer.algorithm != "lora":
        raise LoraFileError(f"{key}: writing {layer.algorithm} is not there yet; expected lora")
    return layer.tensors["down"].detach(), layer.tensors["up"].detach()


def first_names(names: Iterable[str], count: int = 3) -> str:
    """The first few names for a message."""
    found = sorted(names)
    return ", ".join(found[:count]) + (", ..." if len(found) > count else "")


def _refuse_incomplete(name: str, sides: Mapping[str, Tensor]) -> None:
    missing = [side for side in ("down", "up") if side not in sides]
    if missing:
        raise LoraFileError(
            f"{name}: found {' and '.join(sorted(sides))} without {' and '.join(missing)}; the file is incomplete: "
            "get it again"
        )


def _refuse_bad_shapes(name: str, sides: Mapping[str, Tensor]) -> None:
    down, up = sides["down"], sides["up"]
    if down.ndim in (3, 4) and up.ndim == down.ndim:
        raise LoraFileError(f"{name}: found down {list(down.shape)}: LoRA of convolutions is not there yet")
    if down.ndim != 2 or up.ndim != 2 or down.shape[0] != up.shape[1] or 0 in (*down.shape, *up.shape):
        raise LoraFileError(
            f"{name}: found down {list(down.shape)} and up {list(up.shape)}, expected [rank, in] and [out, rank]"
        )
    if "alpha" in sides and sides["alpha"].numel() != 1:
        raise LoraFileError(f"{name}: found alpha of shape {list(sides['alpha'].shape)}, expected one number")
    odd = [str(tensor.dtype) for tensor in (down, up) if not tensor.is_floating_point()]
    if odd:
        raise LoraFileError(f"{name}: found {odd[0]}, expected floating-point numbers")


def _refuse_unmatched(loose: Loose, known: Mapping[str, Sequence[str]]) -> None:
    unmatched = [name for name in loose if name not in known]
    if unmatched:
        _say_unmatched(unmatched, len(loose))


def _say_unmatched(unmatched: Sequence[str], total: int) -> NoReturn:
    how_many = (
        f"none of the {total} layers matches anything"
        if len(unmatched) == total
        else f"{len(unmatched)} of {total} layers match nothing"
    )
    raise LoraFileError(
        f"{how_many} in this base: {first_names(unmatched)}; the LoRA was made for another base: use it with that one"
    )


def _layer(sides: Mapping[str, Tensor]) -> LoraLayer:
    rank = sides["down"].shape[0]
    # without alpha the scale is 1, as every reader has it
    alpha = float(sides["alpha"].item()) if "alpha" in sides else float(rank)
    return LoraLayer("lora", {"down": sides["down"], "up": sides["up"]}, rank, alpha)

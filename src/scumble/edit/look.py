"""What is in a LoRA file: algorithm, ranks, alpha, what it is for and was trained on, and how much it changes where."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from scumble.config.edit import InspectConfig
from scumble.edit.change import MAGNITUDE, change_square
from scumble.edit.given import GivenLora, read_given
from scumble.edit.provenance import made_from_words
from scumble.files.lorafile import LoraLayer

Item = TypeVar("Item")

KINDS = {
    "attn1": "self-attention",
    "attn2": "cross-attention",
    "ff": "feed-forward",
    "resnets": "resnet",
    "self_attn": "text attention",
    "mlp": "text feed-forward",
    "downsamplers": "downsampler",
    "upsamplers": "upsampler",
    "time_embedding": "time embedding",
    "add_embedding": "size embedding",
    "conv_in": "first convolution",
    "conv_out": "last convolution",
}
"""A piece of a layer's path -> what kind of layer it is."""

SAID = {
    "base": ("scumble.base", "ss_sd_model_name"),
    "family": ("ss_base_model_version", "modelspec.architecture"),
    "trigger": ("modelspec.trigger_phrase", "scumble.trigger"),
    "steps": ("ss_steps",),
    "epochs": ("ss_epoch",),
    "learning rate": ("ss_learning_rate",),
    "pictures": ("ss_num_train_images",),
    "resolution": ("modelspec.resolution", "ss_resolution"),
    "merged from": ("scumble.merged_from", "modelspec.merged_from"),
    "resized from": ("scumble.resized_from",),
    "fitted from": ("scumble.fitted_from",),
    "extracted from": ("scumble.extracted_from",),
}
"""What people ask -> the metadata that say it, the most telling first."""

FLOW = ("down_blocks", "mid_block", "up_blocks", "conv_out")
"""The denoiser's blocks as numbers go through them; what comes before the first of these is not named."""


@dataclass(frozen=True)
class Block:
    """The layers of one block of one model part.

    Attributes:
        name: such as "unet.down_blocks.1".
        num_layers: how many of its layers change.
        ranks: rank -> number of layers.
        norm: Frobenius norm of the change of all its layers; None where that depends on a base's weights.
    """

    name: str
    num_layers: int
    ranks: Mapping[int, int]
    norm: float | None


@dataclass(frozen=True)
class Inspection:
    """What is in a LoRA file.

    Attributes:
        path: the file, as it was named.
        made_for: the base or architecture whose layers it fits.
        format: naming of its tensors.
        algorithms: algorithm, with "with DoRA on output" or "on input" where rows or input channels have a length of
            their own -> number of layers.
        dtypes: number format -> number of tensors.
        alphas: alpha -> number of layers.
        targets: kind of layer, with its model part -> number of layers.
        blocks: the denoiser's in the order in which numbers go through it, then the text encoders'.
        said: what its metadata tell: base, trigger, steps and so on; only what is there.
        metadata: all of it.
        left_out: names there of the layers and tensors that were not read; only where that was allowed.
        words: word that it brings -> number of its vectors.
    """

    path: str
    made_for: str
    format: str
    algorithms: Mapping[str, int]
    dtypes: Mapping[str, int]
    alphas: Mapping[float, int]
    targets: Mapping[str, int]
    blocks: tuple[Block, ...]
    said: Mapping[str, str]
    metadata: Mapping[str, str]
    left_out: tuple[str, ...] = ()
    words: Mapping[str, int] = field(default_factory=dict)


def inspect(config: InspectConfig) -> Inspection:
    """Read a LoRA file and say what is in it.

    Raises:
        LoraFileError: damaged, no LoRA, or for no base that is known.
        BaseModelError: the base that was named cannot be opened.
    """
    given = read_given(config.file, config.base, allow_partial=config.allow_partial)
    layers = given.file.layers
    metadata = given.file.metadata
    return Inspection(
        path=str(config.file),
        made_for=given.table.name,
        format=given.format,
        algorithms=_counted(map(algorithm_of, layers.values())),
        dtypes=_counted(
            str(tensor.dtype).removeprefix("torch.") for layer in layers.values() for tensor in layer.tensors.values()
        ),
        alphas=_counted(layer.alpha for layer in layers.values()),
        targets=_counted(map(_kind, layers)),
        blocks=_blocks(given),
        said={what: made_from_words(text) for what, names in SAID.items() if (text := _first(metadata, names))},
        metadata=metadata,
        left_out=given.file.left_out,
        words={word: len(vectors["text_encoder"]) for word, vectors in given.file.embeddings.items()},
    )


def _blocks(given: GivenLora) -> tuple[Block, ...]:
    by_block: dict[str, list[str]] = {}
    for key in given.table.shapes:
        if key in given.file.layers:
            by_block.setdefault(_block(key), []).append(key)
    layers = given.file.layers
    in_order = sorted(by_block.items(), key=lambda item: _place(item[0]))
    return tuple(
        Block(name, len(keys), _counted(layers[key].rank for key in keys), _norm(given, keys))
        for name, keys in in_order
    )


def _norm(given: GivenLora, keys: Iterable[str]) -> float | None:
    squares = [_square(given, key) for key in keys]
    known = [square for square in squares if square is not None]
    return math.sqrt(sum(known)) if len(known) == len(squares) else None


def _square(given: GivenLora, key: str) -> float | None:
    layer = given.file.layers[key]
    if MAGNITUDE in layer.tensors and not given.table.stored:
        return None
    return change_square(key, layer, given.table)


def algorithm_of(layer: LoraLayer) -> str:
    """How the change of a layer is written, in words: "lora", "loha with DoRA on output"."""
    lengths = layer.tensors.get(MAGNITUDE)
    if lengths is None:
        return layer.algorithm
    return f"{layer.algorithm} with DoRA on {'output' if lengths.shape[1] == 1 else 'input'}"


def _block(key: str) -> str:
    part, *path = key.split(".")
    numbered = path[0] in ("down_blocks", "up_blocks")
    return ".".join([part, *path[: 2 if numbered else 1]]) if part == "unet" else part


def _place(block: str) -> int:
    """Where a block lies in the model, to sort by; of blocks at one place the order stays."""
    part, *path = block.split(".")
    if part != "unet":
        return len(FLOW) + 1
    return FLOW.index(path[0]) + 1 if path[0] in FLOW else 0


def _kind(key: str) -> str:
    part, *path = key.split(".")
    kind = next((name for piece, name in KINDS.items() if piece in path), path[-1] if len(path) < 3 else path[-2])
    if "attentions" in path and path[-1] in ("proj_in", "proj_out"):
        kind = "attention projections"
    return f"{part}: {kind}"


def _first(metadata: Mapping[str, str], names: Iterable[str]) -> str | None:
    return next((metadata[name] for name in names if metadata.get(name)), None)


def _counted(items: Iterable[Item]) -> dict[Item, int]:
    return dict(Counter(items).most_common())

"""kohya's naming, which the WebUI, ComfyUI, sd-scripts and diffusers all read.

`<prefix><dotted path, dots as underscores>.<tensor>`: the first dot ends the layer's name. Underscores make the name
ambiguous, so it is matched against the base's own layers, never parsed.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor

from scumble.files.assemble import (
    Loose,
    assemble,
    linear_sides,
    refuse_other_algorithms,
    refuse_unknown,
    spellings,
    with_whole_attention,
)
from scumble.files.lorafile import LoraFile, LoraLayer

READ_PREFIXES = {
    "unet": ("lora_unet_",),
    "text_encoder": ("lora_te_", "lora_te1_"),
    "text_encoder_2": ("lora_te2_",),
}
"""Model part -> how its layers may begin."""

ONE_ENCODER = {"unet": "lora_unet_", "text_encoder": "lora_te_"}
TWO_ENCODERS = {"unet": "lora_unet_", "text_encoder": "lora_te1_", "text_encoder_2": "lora_te2_"}
"""Model part -> how its layers are written, by the number of text encoders of the base: readers insist on it."""

SIDES = {"lora_down.weight": "down", "lora_up.weight": "up", "alpha": "alpha"}


def matches(keys: Iterable[str]) -> bool:
    """Whether any tensor is named as kohya names them."""
    prefixes = tuple(prefix for prefixes in READ_PREFIXES.values() for prefix in prefixes)
    return any(key.startswith(prefixes) for key in keys)


def read(
    tensors: Mapping[str, Tensor], metadata: Mapping[str, str], layer_paths: Mapping[str, Sequence[str]]
) -> LoraFile:
    """kohya's tensors -> canonical form; see `lorafile.Format.read`."""
    refuse_other_algorithms(tensors)
    refuse_unknown([key for key in tensors if key.partition(".")[2] not in SIDES], len(tensors), ", ".join(SIDES))
    loose: Loose = {}
    for key, tensor in tensors.items():
        name, _, side = key.partition(".")
        loose.setdefault(name, {})[SIDES[side]] = tensor
    return LoraFile(assemble(loose, _names(layer_paths)), dict(metadata))


def write(file: LoraFile) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Canonical form -> kohya's tensors, an alpha with each layer; see `lorafile.Format.write`.

    Where alphas differ, the most frequent one is written for all, and the rest of the scale into B.
    """
    layers = with_whole_attention(file.layers)
    prefixes = TWO_ENCODERS if _has_two_encoders(file) else ONE_ENCODER
    alpha = _common_alpha(layers.values())
    tensors: dict[str, Tensor] = {}
    for key, layer in layers.items():
        part, _, path = key.partition(".")
        name = prefixes[part] + path.replace(".", "_")
        down, up = linear_sides(key, layer)
        tensors[f"{name}.lora_down.weight"] = down
        tensors[f"{name}.lora_up.weight"] = up if layer.alpha == alpha else up.float() * (layer.alpha / alpha)
        tensors[f"{name}.alpha"] = torch.tensor(alpha, dtype=torch.float32)
    return tensors, {**file.metadata, **_network_metadata(layers.values(), alpha)}


def _names(layer_paths: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    known: dict[str, list[str]] = {}
    for part, paths in layer_paths.items():
        for prefix in READ_PREFIXES[part]:
            for path in paths:
                for spelling in spellings(part, path):
                    known.setdefault(prefix + spelling.replace(".", "_"), []).append(f"{part}.{path}")
    return known


def _has_two_encoders(file: LoraFile) -> bool:
    return bool(file.part("text_encoder_2")) or file.metadata.get("ss_base_model_version", "").startswith("sdxl")


def _common_alpha(layers: Iterable[LoraLayer]) -> float:
    """The most frequent alpha, the smallest of several.

    diffusers 0.42 gives it to all attention layers and drops the others.
    """
    counts = Counter(layer.alpha for layer in layers)
    return min(counts, key=lambda alpha: (alpha == 0.0, -counts[alpha], alpha))


def _network_metadata(layers: Iterable[LoraLayer], alpha: float) -> dict[str, str]:
    """Rank and alpha as sd-scripts notes them, from the tensors, so that they cannot disagree with these."""
    ranks = {layer.rank for layer in layers}
    return {
        "ss_network_module": "networks.lora",
        "ss_network_dim": str(ranks.pop()) if len(ranks) == 1 else "Dynamic",
        "ss_network_alpha": f"{alpha:.10g}",
    }

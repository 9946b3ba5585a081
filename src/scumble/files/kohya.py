"""kohya's naming, which the WebUI, ComfyUI, sd-scripts and diffusers all read.

`<prefix><dotted path, dots as underscores>.<tensor>`: the first dot ends the layer's name. Underscores make the name
ambiguous, so it is matched against the base's own layers, never parsed.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor

from scumble.errors import LoraFileError
from scumble.files.assemble import assemble, with_whole_attention
from scumble.files.embeddings import bundled, taken_apart
from scumble.files.json_text import parse_json
from scumble.files.lorafile import LoraFile, LoraLayer
from scumble.files.namings import UNDERSCORED, known_names
from scumble.files.sgm import sgm_path
from scumble.files.tensornames import KOHYA_TENSORS, TensorName, split_underscored

ONE_ENCODER = {"unet": "lora_unet_", "text_encoder": "lora_te_"}
TWO_ENCODERS = {"unet": "lora_unet_", "text_encoder": "lora_te1_", "text_encoder_2": "lora_te2_"}
"""Model part -> how its layers are written, by the number of text encoders of the base: readers insist on it."""

NAMINGS, split = UNDERSCORED, split_underscored
WRITTEN = {tensor: name for name, tensor in KOHYA_TENSORS.items()}
PLAIN, LYCORIS = "networks.lora", "lycoris.kohya"
"""The programs' modules that read a file, as ss_network_module says them."""


def read(
    tensors: Mapping[str, Tensor],
    metadata: Mapping[str, str],
    layer_paths: Mapping[str, Sequence[str]],
    allow_partial: bool = False,
) -> LoraFile:
    """kohya's tensors -> canonical form; see `lorafile.Format.read`."""
    words, of_layers = taken_apart(tensors)
    if words and not of_layers:
        return LoraFile({}, dict(metadata), embeddings=words)
    found = assemble(of_layers, split, known_names(NAMINGS, layer_paths), allow_partial)
    return LoraFile(found.layers, dict(metadata), found.left_out, words)


def write(file: LoraFile) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Canonical form -> kohya's tensors, an alpha with each layer; see `lorafile.Format.write`.

    Where alphas of LoRA differ, the most frequent one is written for all, and the rest of the scale into B: diffusers
    0.42 gives one alpha to all attention layers and drops the others. It reads no LoHa and LoKr, which keep theirs.
    """
    layers = with_whole_attention(file.layers)
    two = _has_two_encoders(file)
    plain = [layer for layer in layers.values() if layer.algorithm == "lora"]
    alpha = _common_alpha(plain) if plain else None
    tensors: dict[str, Tensor] = {}
    for key, layer in layers.items():
        name = _name(key, two)
        if f"{name}.alpha" in tensors:
            raise LoraFileError(f"{key} and another layer are both {name} in kohya's naming: write diffusers'")
        for side, tensor in _numbers(layer, alpha).items():
            tensors[f"{name}.{WRITTEN[side]}"] = tensor
    tensors |= bundled(file.embeddings)
    return tensors, {**file.metadata, **_network_metadata(file.metadata, layers.values(), alpha)}


def _has_two_encoders(file: LoraFile) -> bool:
    return bool(file.part("text_encoder_2")) or file.metadata.get("ss_base_model_version", "").startswith("sdxl")


def _name(key: str, two_encoders: bool) -> str:
    """A layer's name; a denoiser beside two encoders has SGM's names, the only ones that every reader takes there."""
    part, _, path = key.partition(".")
    prefixes = TWO_ENCODERS if two_encoders else ONE_ENCODER
    spelled = sgm_path(path) if two_encoders and part == "unet" else path
    if spelled is None:
        raise LoraFileError(f"{key}: this layer has no name in kohya's naming for this base: write diffusers'")
    return prefixes[part] + spelled.replace(".", "_")


def _common_alpha(layers: Iterable[LoraLayer]) -> float:
    """The most frequent alpha, the smallest of several."""
    counts = Counter(layer.alpha for layer in layers)
    return min(counts, key=lambda alpha: (alpha == 0.0, -counts[alpha], alpha))


def _numbers(layer: LoraLayer, common_alpha: float | None) -> dict[TensorName, Tensor]:
    """The tensors of a layer as they are written, alpha among them."""
    tensors = {name: tensor.detach() for name, tensor in layer.tensors.items()}
    alpha = layer.alpha
    if layer.algorithm == "lora":
        assert common_alpha is not None
        alpha = common_alpha
        if layer.alpha != alpha:
            tensors["up"] = tensors["up"].float() * (layer.alpha / alpha)
    elif {"w1", "w2"} <= tensors.keys():
        # no reader scales two whole factors
        if layer.scale != 1.0:
            tensors["w1"] = tensors["w1"].float() * layer.scale
        alpha = layer.alpha if layer.idle_alpha is None else layer.idle_alpha
    named = {_tensor_name(layer.algorithm, name): tensor for name, tensor in tensors.items()}
    return {**named, _tensor_name("", "alpha"): torch.tensor(alpha, dtype=torch.float32)}


def _tensor_name(algorithm: str, name: str) -> TensorName:
    return TensorName("" if name in ("alpha", "magnitude") else algorithm, name)


def _network_metadata(metadata: Mapping[str, str], layers: Iterable[LoraLayer], alpha: float | None) -> dict[str, str]:
    """The network as sd-scripts notes it, from the tensors, so that they cannot disagree with these."""
    layers = list(layers)
    ranks = {layer.rank for layer in layers if not {"w1", "w2"} <= layer.tensors.keys()}
    alphas = {layer.alpha for layer in layers} if alpha is None else {alpha}
    needs_lycoris = any(layer.algorithm != "lora" or {"mid", "magnitude"} & layer.tensors.keys() for layer in layers)
    return {
        "ss_network_module": LYCORIS if needs_lycoris else PLAIN,
        "ss_network_dim": str(ranks.pop()) if len(ranks) == 1 else "Dynamic",
        "ss_network_alpha": f"{alphas.pop():.10g}" if len(alphas) == 1 else "Dynamic",
        **(_lycoris_arguments(metadata, layers) if needs_lycoris else _plain_arguments(metadata)),
    }


def _lycoris_arguments(metadata: Mapping[str, str], layers: Sequence[LoraLayer]) -> dict[str, str]:
    counts = Counter(layer.algorithm for layer in layers)
    arguments = _arguments(metadata, LYCORIS) | {"algo": max(counts, key=lambda name: (counts[name], name))}
    for name, tensor in (("dora_wd", "magnitude"), ("use_tucker", "mid")):
        arguments.pop(name, None)
        if any(tensor in layer.tensors for layer in layers):
            arguments[name] = "True"
    return {"ss_network_args": json.dumps(arguments, sort_keys=True)}


def _plain_arguments(metadata: Mapping[str, str]) -> dict[str, str]:
    """Another network's arguments do not describe this one."""
    is_stale = "ss_network_args" in metadata and metadata.get("ss_network_module", PLAIN) != PLAIN
    return {"ss_network_args": "{}"} if is_stale else {}


def _arguments(metadata: Mapping[str, str], module: str) -> dict[str, object]:
    """What the file says of its network already, if it is this module's."""
    if metadata.get("ss_network_module") != module:
        return {}
    try:
        arguments = parse_json(metadata.get("ss_network_args", "{}").encode())
    except ValueError:
        return {}
    return arguments if isinstance(arguments, dict) else {}

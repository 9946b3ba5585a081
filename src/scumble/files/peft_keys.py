"""The naming of diffusers and PEFT: `<part>.<dotted path>.lora_A.weight`, and the older spellings of diffusers.

There is no place for alpha that all readers look at, so it is written into B: B' = (alpha / r) B. Files of newer
diffusers say alpha in the metadata, as PEFT's settings in JSON; that is read.
"""

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor

from scumble.errors import LoraFileError
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

SETTINGS = "lora_adapter_metadata"
"""The metadata key under which diffusers puts PEFT's settings."""

NAME = re.compile(
    r"(?P<path>.+?)\.(?:"
    r"lora_(?P<peft>[AB])\.weight"
    r"|(?:lora|lora_linear_layer)\.(?P<plain>down|up)\.weight"
    r"|(?:processor\.)?to_(?P<projection>q|k|v|out)_lora\.(?P<processor>down|up)\.weight"
    r"|(?P<alpha>alpha))"
)
SIDES = {"A": "down", "B": "up", "down": "down", "up": "up", "alpha": "alpha"}
DENOISER_PROJECTIONS = {"q": "to_q", "k": "to_k", "v": "to_v", "out": "to_out.0"}
TEXT_PROJECTIONS = {"q": "q_proj", "k": "k_proj", "v": "v_proj", "out": "out_proj"}


def matches(keys: Iterable[str]) -> bool:
    """Whether any tensor is named as diffusers or PEFT name them, now or earlier."""
    return any(".lora" in key or "_lora." in key for key in keys)


def read(
    tensors: Mapping[str, Tensor], metadata: Mapping[str, str], layer_paths: Mapping[str, Sequence[str]]
) -> LoraFile:
    """diffusers' tensors -> canonical form; see `lorafile.Format.read`."""
    refuse_other_algorithms(tensors)
    _refuse_peft_folders(tensors)
    found = {key: NAME.fullmatch(key) for key in tensors}
    refuse_unknown([key for key, match in found.items() if not match], len(tensors), "lora_A.weight, lora_B.weight")
    loose: Loose = {}
    for key, match in found.items():
        assert match is not None
        name, side = _name_and_side(match)
        if side in loose.setdefault(name, {}):
            raise LoraFileError(f"{key} is there twice, in two spellings: expected one LoRA in the file")
        loose[name][side] = tensors[key]
    layers = assemble(loose, _names(layer_paths))
    settings = _settings(metadata)
    return LoraFile({key: _with_alpha(key, layer, settings) for key, layer in layers.items()}, dict(metadata))


def write(file: LoraFile) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Canonical form -> diffusers' tensors, alpha written into B, in float32; see `lorafile.Format.write`."""
    tensors: dict[str, Tensor] = {}
    for key, layer in with_whole_attention(file.layers).items():
        down, up = linear_sides(key, layer)
        tensors[f"{key}.lora_A.weight"] = down
        tensors[f"{key}.lora_B.weight"] = up.float() * (layer.alpha / layer.rank)
    # settings and alpha described the tensors before alpha was written into B
    stale = (SETTINGS, "ss_network_alpha", "ss_network_module")
    return tensors, {name: value for name, value in file.metadata.items() if name not in stale}


def _refuse_peft_folders(keys: Iterable[str]) -> None:
    for key in keys:
        if key.startswith("base_model.model."):
            raise LoraFileError(
                f"{key}: found the file of a PEFT folder, whose alpha is in adapter_config.json: reading such folders "
                "is not there yet; save it with diffusers' save_lora_weights"
            )


def _name_and_side(match: re.Match[str]) -> tuple[str, str]:
    path, projection = match["path"], match["projection"]
    side = SIDES[match["peft"] or match["plain"] or match["processor"] or match["alpha"]]
    if projection is not None:
        in_text_encoder = path.endswith(".self_attn")
        path = f"{path}.{(TEXT_PROJECTIONS if in_text_encoder else DENOISER_PROJECTIONS)[projection]}"
    return path, side


def _names(layer_paths: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    known: dict[str, list[str]] = {}
    for part, paths in layer_paths.items():
        for path in paths:
            for spelling in spellings(part, path):
                known.setdefault(f"{part}.{spelling}", []).append(f"{part}.{path}")
            if part == "unet":  # the oldest files have the denoiser alone and do not say so
                known.setdefault(path, []).append(f"{part}.{path}")
    return known


def _settings(metadata: Mapping[str, str]) -> dict[str, Any]:
    try:
        settings = json.loads(metadata.get(SETTINGS, "{}"))
    except (ValueError, RecursionError) as error:
        raise LoraFileError(f"metadata {SETTINGS} is not JSON that can be read ({error}): get the file again") from None
    if not isinstance(settings, dict):
        raise LoraFileError(f"metadata {SETTINGS} is a {type(settings).__name__}, expected an object")
    return settings


def _with_alpha(key: str, layer: LoraLayer, settings: Mapping[str, Any]) -> LoraLayer:
    """The layer with the alpha that PEFT's settings give it, if there are any for its model part."""
    part, _, path = key.partition(".")
    if f"{part}.lora_alpha" not in settings:
        return layer
    if settings.get(f"{part}.use_dora"):
        raise LoraFileError(f"{part}.use_dora: DoRA is not there yet; expected a plain LoRA")
    patterns = settings.get(f"{part}.alpha_pattern") or {}
    if not isinstance(patterns, dict):
        raise LoraFileError(f"{part}.alpha_pattern is a {type(patterns).__name__}, expected an object")
    alpha = next(
        (value for pattern, value in patterns.items() if _pattern_matches(pattern, path)),
        settings[f"{part}.lora_alpha"],
    )
    if isinstance(alpha, bool) or not isinstance(alpha, int | float) or not math.isfinite(alpha):
        raise LoraFileError(f"{key}: its alpha in the metadata is {alpha!r:.40}, expected a number")
    factor = math.sqrt(layer.rank) if settings.get(f"{part}.use_rslora") else 1.0
    return replace(layer, alpha=float(alpha) * factor)


def _pattern_matches(pattern: str, path: str) -> bool:
    """PEFT's patterns are regular expressions; a file's are not run, only compared as the paths that diffusers writes.

    Raises:
        LoraFileError: the pattern is more than a path.
    """
    plain = pattern.removeprefix("^").removesuffix("$").replace("\\.", ".")
    if not re.fullmatch(r"[\w.]+", plain):
        raise LoraFileError(f"alpha_pattern {pattern!r:.80}: found a regular expression, expected a layer's path")
    return path == plain or (not pattern.startswith("^") and path.endswith("." + plain))

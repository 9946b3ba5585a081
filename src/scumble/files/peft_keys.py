"""The naming of diffusers and PEFT: `<part>.<dotted path>.lora_A.weight`, and others that keep the path's dots.

There is no place for alpha that all readers look at, so it is written into B: B' = (alpha / r) B. Files of newer
diffusers say alpha in the metadata, as PEFT's settings in JSON; that is read.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from scumble.errors import LoraFileError
from scumble.files.assemble import Assembled, assemble, with_whole_attention
from scumble.files.embeddings import refuse_words, taken_apart
from scumble.files.lorafile import LoraFile, LoraLayer
from scumble.files.magnitude import to_peft
from scumble.files.namings import DOTTED, known_names
from scumble.files.peft_settings import ALPHA_NAMES, Scales, parse_settings, scales_of, with_scale
from scumble.files.places import PARTS
from scumble.files.plain_lora import down_and_up
from scumble.files.tensornames import split_dotted

SETTINGS = "lora_adapter_metadata"
"""The metadata key under which diffusers puts PEFT's settings: `<part>.<setting>` in one flat object."""

NAMINGS, split = DOTTED, split_dotted


def read(
    tensors: Mapping[str, Tensor],
    metadata: Mapping[str, str],
    layer_paths: Mapping[str, Sequence[str]],
    allow_partial: bool = False,
) -> LoraFile:
    """diffusers' tensors -> canonical form; see `lorafile.Format.read`."""
    words, of_layers = taken_apart(tensors)
    found = assemble(of_layers, split, known_names(NAMINGS, layer_paths), allow_partial)
    return LoraFile(_scaled(found, _scales(metadata)), dict(metadata), found.left_out, words)


def write(file: LoraFile) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Canonical form -> diffusers' tensors, alpha written into B, in float32; see `lorafile.Format.write`."""
    refuse_words(file.embeddings, "diffusers'")
    tensors: dict[str, Tensor] = {}
    for key, layer in with_whole_attention(file.layers).items():
        down, up = down_and_up(key, layer)
        tensors[f"{key}.lora_A.weight"] = down
        tensors[f"{key}.lora_B.weight"] = up.float() * layer.scale
        if "magnitude" in layer.tensors:
            tensors[f"{key}.lora_magnitude_vector"] = to_peft(key, layer.tensors["magnitude"].detach())
    # settings and alpha described the tensors before alpha was written into B
    stale = (SETTINGS, "ss_network_alpha", "ss_network_module")
    return tensors, {name: value for name, value in file.metadata.items() if name not in stale}


def _scales(metadata: Mapping[str, str]) -> dict[str, Scales]:
    """Model part -> rank and alpha of its layers, for the parts whose alpha the settings say."""
    where = f"metadata {SETTINGS}"
    parts: dict[str, dict[str, Any]] = {}
    for name, value in parse_settings(metadata.get(SETTINGS, "{}"), where).items():
        part, _, setting = name.partition(".")
        if part in PARTS:
            parts.setdefault(part, {})[setting] = value
    return {part: scales_of(said, where) for part, said in parts.items() if said.keys() & set(ALPHA_NAMES)}


def _scaled(found: Assembled, scales: Mapping[str, Scales]) -> dict[str, LoraLayer]:
    layers = dict(found.layers)
    for key, layer in found.layers.items():
        part = key.partition(".")[0]
        if part not in scales:
            continue
        if key in found.states_alpha:
            raise LoraFileError(
                f"{key}: its alpha is said by a tensor and by metadata {SETTINGS}: expected one of them"
            )
        layers[key] = with_scale(key, layer, scales[part])
    return layers

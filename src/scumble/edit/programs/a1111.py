"""How the WebUI (A1111) 1.10 reads LoRA files: extensions-builtin/Lora."""

from collections.abc import Mapping

from scumble.edit.change import MAGNITUDE
from scumble.edit.programs.effects import (
    IN_HALF,
    ROWS_AS_INPUTS,
    UNSCALED,
    UNSCALED_WITHOUT_LENGTHS,
    WHOLE,
    Effect,
    not_applied,
)
from scumble.edit.programs.seen import Seen, SeenFile
from scumble.families.base import FileIdentity
from scumble.files.lorafile import LoraLayer
from scumble.files.namings import DIFFUSERS, SGM

TWO_ENCODERS = "sdxl_"
"""How ss_base_model_version begins for a base with two text encoders."""

UNKNOWN = not_applied("it does not know these names")
WITHOUT_PLACE = not_applied("it looks for this layer elsewhere")
HALF_ATTENTION = not_applied("it changes an attention only where q, k, v and out are all there")


def effects(file: SeenFile) -> dict[str, Effect]:
    """What it makes of each layer."""
    return {key: _effect(layer, file) for key, layer in file.layers.items()}


def hidden_in(metadata: Mapping[str, str], identity: FileIdentity) -> str | None:
    """Why its LoRA tab does not show a file beside a base of this family; None if it does.

    Args:
        metadata: the file's; a file without any is always shown.
        identity: of the base's family.
    """
    version, is_v2 = metadata.get("ss_base_model_version", ""), metadata.get("ss_v2", "")
    if not metadata or _kind(version, is_v2) == _kind(identity.base_version, str(identity.is_v2)):
        return None
    return (
        f"A1111 hides it in its LoRA tab beside such a base, since its metadata say ss_base_model_version={version!r} "
        f"and ss_v2={is_v2!r}; a copy by `scumble convert` says what A1111 looks for"
    )


def _kind(version: str, is_v2: str) -> tuple[bool, bool]:
    has_two_encoders = version.startswith(TWO_ENCODERS)
    return has_two_encoders, not has_two_encoders and is_v2 == "True"


def _effect(layer: Seen, file: SeenFile) -> Effect:
    if not _is_known(layer, file):
        return UNKNOWN
    if layer.part == "unet" and layer.path == DIFFUSERS and not _has_place(layer.key, file):
        return WITHOUT_PLACE
    if _is_open_clip(layer.part, file) and not file.whole_attention(layer.key):
        return HALF_ATTENTION
    if layer.written.has(".lora_A.weight"):
        return UNSCALED if layer.lengths is None else UNSCALED_WITHOUT_LENGTHS
    if layer.lengths == "output":
        return ROWS_AS_INPUTS
    return IN_HALF if layer.layer.algorithm != "lora" and _is_half(layer.layer) else WHOLE


def _is_half(layer: LoraLayer) -> bool:
    return all(tensor.element_size() == 2 for name, tensor in layer.tensors.items() if name != MAGNITUDE)


def _is_known(layer: Seen, file: SeenFile) -> bool:
    if layer.part == "unet":
        return layer.begin == "lora_unet_" and layer.path in (DIFFUSERS, SGM)
    if layer.path != DIFFUSERS:
        return False
    if layer.part == "text_encoder_2":
        return layer.begin == "lora_te2_"
    if file.has_two_encoders:
        return layer.begin == "lora_te1_"
    return layer.begin == "lora_te_" or (layer.begin == "lora_te1_" and not _is_open_clip(layer.part, file))


def _has_place(key: str, file: SeenFile) -> bool:
    """Its own translation of diffusers' names fits a denoiser with one plain up block, and knows no size embedding."""
    if not file.has_two_encoders:
        return True
    return "add_embedding" not in key and key != "unet.up_blocks.0.upsamplers.0.conv"


def _is_open_clip(part: str, file: SeenFile) -> bool:
    """Whether it runs this text encoder as OpenCLIP's, in which q, k and v are one layer."""
    return part == "text_encoder_2" or (part == "text_encoder" and file.table.identity.is_v2)

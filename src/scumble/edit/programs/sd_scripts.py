"""How kohya's sd-scripts read LoRA files: networks/lora.py."""

from scumble.edit.programs.effects import (
    UNSCALED_WITHOUT_LENGTHS,
    WHOLE,
    WITHOUT_CORE,
    WITHOUT_LENGTHS,
    WITHOUT_ZERO,
    Effect,
    not_applied,
)
from scumble.edit.programs.seen import Seen, SeenFile
from scumble.files.namings import DIFFUSERS, SGM

UNKNOWN = not_applied("it does not know these names")
NOT_LORA = not_applied("unless it is told to use LyCORIS")
BOTH_NAMINGS = not_applied("it stops at two namings in one file")
OUTSIDE = not_applied("it adapts no layers outside the blocks")


def effects(file: SeenFile) -> dict[str, Effect]:
    """What they make of each layer."""
    if {DIFFUSERS, SGM} <= {layer.path for layer in file.layers.values() if layer.part == "unet"}:
        return dict.fromkeys(file.layers, BOTH_NAMINGS)
    return {key: _effect(layer, file) for key, layer in file.layers.items()}


def _effect(layer: Seen, file: SeenFile) -> Effect:
    if not _is_known(layer, file):
        return UNKNOWN
    if layer.layer.algorithm != "lora":
        return NOT_LORA
    if layer.part == "unet" and not layer.key.startswith(("unet.down_blocks", "unet.mid_block", "unet.up_blocks")):
        return OUTSIDE
    if "mid" in layer.layer.tensors:
        return WITHOUT_CORE
    if layer.layer.alpha == 0:
        return WITHOUT_ZERO if layer.lengths is None else UNSCALED_WITHOUT_LENGTHS
    return WITHOUT_LENGTHS if layer.lengths is not None else WHOLE


def _is_known(layer: Seen, file: SeenFile) -> bool:
    if layer.part == "unet":
        return layer.begin == "lora_unet_" and (
            layer.path == DIFFUSERS or (file.has_two_encoders and layer.path == SGM)
        )
    begins = {"text_encoder": "lora_te1_" if file.has_two_encoders else "lora_te_", "text_encoder_2": "lora_te2_"}
    return layer.begin == begins[layer.part] and layer.path == DIFFUSERS

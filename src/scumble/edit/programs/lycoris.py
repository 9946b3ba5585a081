"""How LyCORIS 4 reads LoRA files: lycoris.kohya."""

from scumble.edit.programs.effects import WHOLE, Effect, not_applied
from scumble.edit.programs.seen import Seen, SeenFile
from scumble.files.namings import DIFFUSERS, SGM

UNKNOWN = not_applied("it does not know these names")
REFUSES_LENGTHS = not_applied("it refuses lengths of input channels")
NEEDS_ALPHA = not_applied("it stops where a layer has no alpha")


def effects(file: SeenFile) -> dict[str, Effect]:
    """What it makes of each layer."""
    known = {key for key, layer in file.layers.items() if _is_known(layer, file)}
    refusal = _refusal([file.layers[key] for key in known])
    return {key: (refusal or WHOLE) if key in known else UNKNOWN for key in file.layers}


def _refusal(layers: list[Seen]) -> Effect | None:
    if any(layer.lengths == "input" for layer in layers):
        return REFUSES_LENGTHS
    return None if all(layer.states_alpha for layer in layers) else NEEDS_ALPHA


def _is_known(layer: Seen, file: SeenFile) -> bool:
    two = file.has_two_encoders
    begins = {
        "unet": ("lora_unet_", SGM if two else DIFFUSERS),
        "text_encoder": ("lora_te1_" if two else "lora_te_", DIFFUSERS),
        "text_encoder_2": ("lora_te2_", DIFFUSERS),
    }
    return (layer.begin, layer.path) == begins[layer.part]

"""How ComfyUI reads LoRA files: comfy/lora.py and comfy/weight_adapter."""

from scumble.edit.programs.effects import (
    BY_ROWS_OF_THE_BASE,
    UNSCALED,
    UNSCALED_WITHOUT_LENGTHS,
    WHOLE,
    WITHOUT_LENGTHS,
    Effect,
    not_applied,
)
from scumble.edit.programs.seen import Seen, SeenFile
from scumble.files.namings import DIFFUSERS, SGM

UNKNOWN = not_applied("it does not know these names")
LOKR_CORE = not_applied("it fails at the third factor of a LoKr, and goes on")
KNOWN: dict[str, dict[str, tuple[str, ...]]] = {
    "unet": {
        "lora_unet_": (DIFFUSERS, SGM),
        "lycoris_": (DIFFUSERS,),
        "unet.": (DIFFUSERS,),
        "": (DIFFUSERS,),
        "diffusion_model.": (SGM,),
    },
    "text_encoder": {
        "lora_te_": (DIFFUSERS,),
        "lora_te1_": (DIFFUSERS,),
        "text_encoder.": (DIFFUSERS,),
        "text_encoders.clip_l.transformer.": (DIFFUSERS,),
        "text_encoders.clip_h.transformer.": (DIFFUSERS,),
    },
    "text_encoder_2": {
        "lora_te2_": (DIFFUSERS,),
        "text_encoder_2.": (DIFFUSERS,),
        "text_encoders.clip_g.transformer.": (DIFFUSERS,),
    },
}
"""Model part -> beginning of a name -> whose names it knows after it."""


def effects(file: SeenFile) -> dict[str, Effect]:
    """What it makes of each layer."""
    return {key: _effect(layer) for key, layer in file.layers.items()}


def _effect(layer: Seen) -> Effect:
    if layer.path not in KNOWN[layer.part].get(layer.begin, ()) or not _spells_attention(layer):
        return UNKNOWN
    core = layer.layer.tensors.get("t2") if layer.layer.algorithm == "lokr" else None
    if core is not None and core.shape[2:].numel() > 1:
        return LOKR_CORE
    is_scaled = layer.states_alpha or layer.layer.scale == 1  # it does not look into the metadata
    if layer.written.has(".lora_magnitude_vector", ".lora_magnitude_vector.weight"):
        return WITHOUT_LENGTHS if is_scaled else UNSCALED_WITHOUT_LENGTHS
    if layer.lengths == "output":
        return BY_ROWS_OF_THE_BASE
    return WHOLE if is_scaled else UNSCALED


def _spells_attention(layer: Seen) -> bool:
    """It expects "processor" in diffusers' names of the denoiser's attention, as the oldest files have it."""
    is_attention = ".to_" in layer.key and layer.begin in ("", "unet.")
    return not is_attention or any(".processor." in name for name in layer.written.tensors)

"""How diffusers 0.42 reads LoRA files: load_lora_weights."""

from collections import Counter
from collections.abc import Iterable

from scumble.edit.programs.effects import (
    LENGTHS_OF_THE_BASE,
    WHOLE,
    WITHOUT_LENGTHS,
    Effect,
    not_applied,
    with_alpha,
)
from scumble.edit.programs.seen import Seen, SeenFile
from scumble.files.namings import DIFFUSERS, PEFT_BEGIN, SGM

UNKNOWN = not_applied("it does not know these names")
REFUSED = not_applied("it refuses the file")
OTHER_HALF = not_applied("it drops one of two namings in a file")
THROUGH_PEFT = Effect("as trained, through PEFT")
KOHYA = {"unet": ("lora_unet_",), "text_encoder": ("lora_te_", "lora_te1_"), "text_encoder_2": ("lora_te2_",)}
OWN = {"unet": ("unet.", ""), "text_encoder": ("text_encoder.",), "text_encoder_2": ("text_encoder_2.",)}


def effects(file: SeenFile) -> dict[str, Effect]:
    """What it makes of each layer."""
    layers = file.layers.values()
    if all(PEFT_BEGIN in layer.begin for layer in layers):
        return dict.fromkeys(file.layers, THROUGH_PEFT)
    if any(layer.layer.algorithm != "lora" or "mid" in layer.layer.tensors for layer in layers):
        return dict.fromkeys(file.layers, REFUSED)
    if all(layer.begin in KOHYA[layer.part] for layer in layers):
        return _of_kohya(file)
    return {key: _of_own(layer) for key, layer in file.layers.items()}


def _of_kohya(file: SeenFile) -> dict[str, Effect]:
    denoiser = [layer for layer in file.layers.values() if layer.part == "unet"]
    paths = {layer.path for layer in denoiser}
    if SGM in paths and not file.has_two_encoders:
        return dict.fromkeys(file.layers, REFUSED)
    found: dict[str, Effect] = {}
    for part in {layer.part for layer in file.layers.values()}:
        layers = [layer for layer in file.layers.values() if layer.part == part]
        common = _common_alpha(layers)
        for layer in layers:
            found[layer.key] = _of_kohya_layer(layer, common)
            if layer.path == SGM and DIFFUSERS in paths:
                found[layer.key] = OTHER_HALF
    return found


def _of_kohya_layer(layer: Seen, common_alpha: float | None) -> Effect:
    if layer.lengths is not None:
        return WITHOUT_LENGTHS
    takes_common = layer.part != "unet" or ".to_" in layer.key
    if common_alpha is None or not takes_common or layer.layer.alpha == common_alpha:
        return WHOLE
    return with_alpha(common_alpha)


def _common_alpha(layers: Iterable[Seen]) -> float | None:
    """The alpha that it gives to all attention layers of a part, if any has one."""
    alphas = Counter(layer.layer.alpha for layer in layers if layer.states_alpha)
    return alphas.most_common()[0][0] if alphas else None


def _of_own(layer: Seen) -> Effect:
    if layer.begin not in OWN[layer.part] or layer.path == SGM:
        return UNKNOWN
    if layer.lengths is not None and layer.part != "unet":
        return LENGTHS_OF_THE_BASE
    return WHOLE

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
from scumble.edit.programs.seen import TEXT_ATTENTION, Seen, SeenFile
from scumble.files.namings import DIFFUSERS, PEFT_BEGIN, SGM, SHORT

UNKNOWN = not_applied("it does not know these names")
REFUSED = not_applied("it refuses the file")
REFUSED_WITH_WORDS = not_applied("it refuses a file with words; convert --to diffusers takes them out")
NO_OUT = not_applied("it drops q, k and v of a text encoder without out")
OTHER_HALF = not_applied("it drops one of two namings in a file")
THROUGH_PEFT = not_applied("load_lora_weights does not know these names, but PEFT's PeftModel does")
KOHYA = {"unet": ("lora_unet_",), "text_encoder": ("lora_te_", "lora_te1_"), "text_encoder_2": ("lora_te2_",)}
OWN = {"unet": ("unet.",), "text_encoder": ("text_encoder.",), "text_encoder_2": ("text_encoder_2.",)}


def effects(file: SeenFile) -> dict[str, Effect]:
    """What it makes of each layer."""
    layers = file.layers.values()
    if file.has_words:
        return dict.fromkeys(file.layers, REFUSED_WITH_WORDS)
    if all(PEFT_BEGIN in layer.begin for layer in layers):
        return dict.fromkeys(file.layers, THROUGH_PEFT)
    if any(layer.layer.algorithm != "lora" or "mid" in layer.layer.tensors for layer in layers):
        return dict.fromkeys(file.layers, REFUSED)
    if all(layer.begin in KOHYA[layer.part] for layer in layers):
        return dict.fromkeys(file.layers, REFUSED) if _refuses_kohya(file) else _of_kohya(file)
    if any(_refuses_own(layer) for layer in layers):
        return dict.fromkeys(file.layers, REFUSED)
    return {key: _of_own(layer) for key, layer in file.layers.items()}


def _refuses_kohya(file: SeenFile) -> bool:
    """Stability's names of blocks beside one text encoder, a second one's without `text_model`, or q, k and v alone."""
    if not file.has_two_encoders and any(layer.path == SGM and "_block" in layer.key for layer in file.layers.values()):
        return True
    if any(layer.path == SHORT for layer in file.of("text_encoder_2")):
        return True
    return any(
        layers and all(_is_projection(layer.key) and not layer.key.endswith("out_proj") for layer in layers)
        for layers in (file.of(part) for part in ("text_encoder", "text_encoder_2"))
    )


def _of_kohya(file: SeenFile) -> dict[str, Effect]:
    both = {DIFFUSERS, SGM} <= {layer.path for layer in file.of("unet")}
    found: dict[str, Effect] = {}
    for part in KOHYA:
        layers = file.of(part)
        common = _common_alpha(layers)
        has_out = part == "unet" or any(layer.key.endswith("out_proj") for layer in layers)
        for layer in layers:
            found[layer.key] = _of_kohya_layer(layer, common)
            if layer.path == SGM and both:
                found[layer.key] = OTHER_HALF
            elif layer.path == DIFFUSERS and "add_embedding" in layer.key:
                found[layer.key] = UNKNOWN
            elif _is_projection(layer.key) and not has_out:
                found[layer.key] = NO_OUT
    return found


def _is_projection(key: str) -> bool:
    return key.startswith("text_encoder") and key.rpartition(".")[2] in TEXT_ATTENTION


def _is_attention(key: str) -> bool:
    return ".to_" in key or _is_projection(key)


def _of_kohya_layer(layer: Seen, common_alpha: float | None) -> Effect:
    if layer.lengths is not None:
        return WITHOUT_LENGTHS
    # it finds no layer of its own patterns for attention, nor for a text encoder without `text_model`
    takes_common = not layer.states_alpha or layer.part == "text_encoder" or _is_attention(layer.key)
    if common_alpha is None or not takes_common or layer.layer.alpha == common_alpha:
        return WHOLE
    return with_alpha(common_alpha)


def _common_alpha(layers: Iterable[Seen]) -> float | None:
    """The most frequent alpha of a part, the first of several; None if none is stated."""
    alphas = Counter(layer.layer.alpha for layer in layers if layer.states_alpha)
    return alphas.most_common()[0][0] if alphas else None


def _refuses_own(layer: Seen) -> bool:
    """Alpha as a tensor, the denoiser's names of diffusers before 0.27, or those of a newer text encoder on the second."""
    return layer.begin in OWN[layer.part] and (
        layer.states_alpha
        or layer.written.has(".lora.down.weight")
        or (layer.path == SHORT and layer.part == "text_encoder_2")
    )


def _of_own(layer: Seen) -> Effect:
    if layer.begin not in OWN[layer.part] or layer.path == SGM:
        return UNKNOWN
    if layer.lengths is not None and layer.part != "unet":
        return LENGTHS_OF_THE_BASE
    return WHOLE

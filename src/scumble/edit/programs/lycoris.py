"""How LyCORIS 4 reads LoRA files: lycoris.kohya."""

from scumble.edit.programs.effects import WHOLE, WITHOUT_ZERO, Effect, not_applied
from scumble.edit.programs.seen import Seen, SeenFile
from scumble.families.outline import Shape
from scumble.files.lorafile import LoraLayer
from scumble.files.namings import DIFFUSERS, SGM

UNKNOWN = not_applied("lycoris.kohya does not know these names")
REFUSES_LENGTHS = not_applied("it refuses lengths of input channels")
REFUSES_LOKR = not_applied("it would split the factors of a LoKr otherwise, and stops")
NEEDS_ALPHA = not_applied("it stops where a layer has no alpha")


def effects(file: SeenFile) -> dict[str, Effect]:
    """What it makes of each layer."""
    known = {key for key, layer in file.layers.items() if _is_known(layer, file)}
    refusal = _refusal([file.layers[key] for key in known], file)
    return {
        key: UNKNOWN if key not in known else refusal or (WITHOUT_ZERO if layer.layer.alpha == 0 else WHOLE)
        for key, layer in file.layers.items()
    }


def _refusal(layers: list[Seen], file: SeenFile) -> Effect | None:
    if any(layer.lengths == "input" for layer in layers):
        return REFUSES_LENGTHS
    if not all(layer.states_alpha for layer in layers):
        return NEEDS_ALPHA
    is_rebuilt = all(_is_rebuilt(layer.layer, file.table.shapes[layer.key]) for layer in layers)
    return None if is_rebuilt else REFUSES_LOKR


def _is_rebuilt(layer: LoraLayer, shape: Shape) -> bool:
    """Whether it splits the factors of a LoKr as the file has them: it decides that anew, by their sizes and the rank."""
    tensors = layer.tensors
    splits = {name for name in ("w1", "w2") if f"{name}_a" in tensors}
    if layer.algorithm != "lokr" or not splits:
        return True
    if "t2" in tensors:
        return False
    rows, columns = (
        (tensors["w1_a"].shape[0], tensors["w1_b"].shape[1]) if "w1" in splits else tuple(tensors["w1"].shape)
    )
    rank = tensors["w1_a" if "w1" in splits else "w2_a"].shape[1]
    may_split = {"w1": max(rows, columns) / 2 > rank, "w2": max(shape[0] // rows, shape[1] // columns) / 2 > rank}
    return may_split["w2"] == ("w2" in splits) and (may_split["w1"] or "w1" not in splits)


def _is_known(layer: Seen, file: SeenFile) -> bool:
    two = file.has_two_encoders
    begins = {
        "unet": ("lora_unet_", SGM if two else DIFFUSERS),
        "text_encoder": ("lora_te1_" if two else "lora_te_", DIFFUSERS),
        "text_encoder_2": ("lora_te2_", DIFFUSERS),
    }
    return (layer.begin, layer.path) == begins[layer.part]

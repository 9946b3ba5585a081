"""How files spell a layer's name before the dot of its tensor."""

from collections.abc import Callable, Mapping

from base_models import Base

TEXT_PARTS = ("text_encoder", "text_encoder_2")
ONE = {"text_encoder": "lora_te_"}
FIRST = {"text_encoder": "lora_te1_"}
TWO = {"text_encoder": "lora_te1_", "text_encoder_2": "lora_te2_"}
ONE_AND_TWO = {"text_encoder": "lora_te_", "text_encoder_2": "lora_te2_"}
"""Text encoder -> its beginning in kohya's names."""

Spelling = Callable[[Base, str], str]
"""(base, canonical key) -> the layer's name in a file."""


def kohya(sgm: bool, text: Mapping[str, str]) -> Spelling:
    """kohya's underscores; the denoiser in SGM's or diffusers' names."""

    def spell(base: Base, key: str) -> str:
        part, _, path = key.partition(".")
        begin = text[part] if part in TEXT_PARTS else "lora_unet_"
        spelled = base.sgm[key] if sgm and part == "unet" else path
        return begin + spelled.replace(".", "_")

    return spell


def kohya_flattened(base: Base, key: str) -> str:
    """Newer transformers' names of the text encoders, without text_model."""
    usual = kohya(False, ONE) if len(base.text_parts()) == 1 else kohya(True, TWO)
    return usual(base, key if key in base.sgm else _flat(key))


def kohya_both(base: Base, key: str) -> str:
    """Two text encoders; of the denoiser the down half in SGM's names and the rest in diffusers'."""
    return kohya(".down_blocks." in key, TWO)(base, key)


def diffusers(base: Base, key: str) -> str:
    """The canonical key."""
    return key


def flattened(base: Base, key: str) -> str:
    """Newer transformers' names, without text_model."""
    return _flat(key)


def peft_folder(base: Base, key: str) -> str:
    """The denoiser alone, as PEFT's folders have it."""
    return f"base_model.model.{key.removeprefix('unet.')}"


def without_part(base: Base, key: str) -> str:
    """The denoiser alone, and not said."""
    return key.removeprefix("unet.")


def comfyui(base: Base, key: str) -> str:
    """ComfyUI's own names."""
    part, _, path = key.partition(".")
    encoders = {"text_encoder": "clip_l", "text_encoder_2": "clip_g"}
    return (
        f"diffusion_model.{base.sgm[key]}" if part == "unet" else f"text_encoders.{encoders[part]}.transformer.{path}"
    )


def simple_tuner(base: Base, key: str) -> str:
    """LyCORIS's wrapper around the denoiser."""
    return f"lycoris_{key.removeprefix('unet.').replace('.', '_')}"


def _flat(key: str) -> str:
    return key.replace(".text_model.", ".")

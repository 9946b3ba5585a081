"""Which format a file is in: a table of how names begin, the one place that decides.

The first line counts of which any tensor's name begins so: the reader itself says what it does not understand.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from scumble.errors import LoraFileError
from scumble.files.assemble import first_names


@dataclass(frozen=True)
class Sign:
    """How tensors are named by some programs.

    Attributes:
        pattern: what a name begins with.
        format: the format's name in the registry, whose reader takes the file; "" = no LoRA, and not read.
        writers: who writes such files, or what they are.
    """

    pattern: str
    format: str
    writers: str


SIGNS = (
    Sign(r"lora_(unet|te|te1|te2)_", "kohya", "kohya's scripts, LyCORIS, ai-toolkit, OneTrainer"),
    Sign(r"lycoris_", "kohya", "LyCORIS's wrapper, SimpleTuner"),
    Sign(r"bundle_emb\.", "kohya", "OneTrainer, of words alone"),
    Sign(r"(\w+/)?base_model\.model\.", "peft", "PEFT"),
    Sign(r"(unet|text_encoder|text_encoder_2)\..*(\blora|_lora\.)", "diffusers", "diffusers"),
    Sign(r"(down_blocks|mid_block|up_blocks)\..*(\blora|_lora\.)", "diffusers", "diffusers before 0.17"),
    Sign(r"(diffusion_model|text_encoders\.clip_[lgh]\.transformer)\.", "diffusers", "ComfyUI"),
    Sign(r"(unet|clip_l|clip_g)\.", "diffusers", "OneTrainer in OMI names"),
    Sign(r"lora_(unet|te|te1|te2)\.", "diffusers", "OneTrainer"),
    Sign(r"model\.diffusion_model\.", "", "a whole Stable Diffusion checkpoint"),
    Sign(r"first_stage_model\.", "", "an autoencoder"),
    Sign(r"emb_params", "", "a textual inversion embedding"),
    Sign(r"clip_l", "", "a textual inversion embedding of SDXL"),
    Sign(r"down_blocks\.", "", "a denoiser's own weights"),
    Sign(
        r"(transformer\.|lora_transformer_|double_blocks\.|diffusion_model\.double_blocks\.)",
        "",
        "a LoRA of another family of models",
    ),
)
"""Tried from the top."""


def format_of(keys: Iterable[str]) -> str:
    """The name of the format whose reader takes a file with tensors of these names.

    Raises:
        LoraFileError: says what the file is instead, as far as it is known.
    """
    keys = list(keys)
    sign = next((sign for sign in SIGNS if any(re.match(sign.pattern, key) for key in keys)), None)
    if sign is not None and sign.format:
        return sign.format
    found = sign.writers if sign else f"tensors named {first_names(keys)}" if keys else "no tensors"
    known = dict.fromkeys(sign.writers for sign in SIGNS if sign.format)
    raise LoraFileError(f"found {found}, expected a LoRA as these write it: {'; '.join(known)}")

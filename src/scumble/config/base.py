"""The settings of the base model, and what is said of them in training and in drawing alike."""

from typing import Annotated, Literal

from pydantic import Field

from scumble.config.section import Also, Section

PRESET_HELP = (
    "base model: by a name that many train on (sd15, sd21, sdxl, pony, illustrious, noobai-vpred); sets what is left open "
    "of base, clip_skip, resolution, guidance_scale, prediction_type and zero_terminal_snr"
)
VAE_HELP = "another autoencoder than the base's own: hub id, folder or .safetensors file"
PREDICTION_HELP = "what the denoiser predicts; none = as the preset, else the base says, else the denoiser is asked"
ZERO_SNR_HELP = "whether the base's noise schedule ends in pure noise; none = as the preset, else the base says"
CLIP_SKIP_HELP = (
    "text encoder layer used, counted as the WebUI does: 1 = last, 2 = last but one; a base with two text encoders "
    "takes the last but one for both; none = as the preset, else the base advises, else 1"
)

AllowPartial = Annotated[
    bool,
    Field(
        description="of a LoRA file that fits the base only in part, take that part and say what is left out; otherwise "
        "such a file is an error"
    ),
]


class ModelConfig(Section):
    """The base model."""

    base: Annotated[
        str | None,
        Also("pretrained_model_name_or_path"),
        Field(
            description="base model: hub id, pipeline folder or .safetensors checkpoint; none = the preset's, else Stable Diffusion 1.5; 'mini' = the model in the box"
        ),
    ] = None
    preset: Annotated[str | None, Field(description=PRESET_HELP)] = None
    vae: Annotated[str | None, Field(description=VAE_HELP)] = None
    revision: Annotated[str | None, Field(description="revision of the base on the hub")] = None
    variant: Annotated[str | None, Field(description="variant of the base's weight files, such as fp16")] = None
    clip_skip: Annotated[int | None, Field(ge=1, le=12, description=CLIP_SKIP_HELP)] = None
    prediction_type: Annotated[Literal["epsilon", "v_prediction"] | None, Field(description=PREDICTION_HELP)] = None
    zero_terminal_snr: Annotated[bool | None, Field(description=ZERO_SNR_HELP)] = None

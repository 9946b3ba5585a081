"""The settings of drawing that every command shares that draws: the base, and how a picture comes from noise."""

from typing import Annotated, Literal

from pydantic import Field

from scumble.config.base import CLIP_SKIP_HELP, PREDICTION_HELP, PRESET_HELP, VAE_HELP, ZERO_SNR_HELP, AllowPartial
from scumble.config.section import Also, Section


class DrawingConfig(Section):
    """What is drawn with, and how."""

    base: Annotated[
        str | None,
        Also("pretrained_model_name_or_path"),
        Field(
            description="base model: hub id, pipeline folder or .safetensors checkpoint; none = the preset's, else the one the LoRAs were trained on, else Stable Diffusion 1.5"
        ),
    ] = None
    preset: Annotated[str | None, Field(description=PRESET_HELP)] = None
    vae: Annotated[str | None, Field(description=VAE_HELP)] = None
    prediction_type: Annotated[Literal["epsilon", "v_prediction"] | None, Field(description=PREDICTION_HELP)] = None
    zero_terminal_snr: Annotated[bool | None, Field(description=ZERO_SNR_HELP)] = None
    allow_partial: AllowPartial = False
    negative_prompt: Annotated[str, Field(description="what to keep away from")] = ""
    steps: Annotated[int, Also("num_inference_steps"), Field(ge=1, le=1000, description="denoising steps")] = 25
    guidance_scale: Annotated[
        float | None,
        Also("cfg_scale"),
        Field(ge=1, le=30, description="classifier-free guidance; 1 = no guidance; none = as the base advises, else 7"),
    ] = None
    sampler: Annotated[str, Field(description="sampler by its WebUI name, such as DPM++ 2M")] = "Euler a"
    schedule: Annotated[
        str | None,
        Also("schedule_type"),
        Field(
            description="schedule type by its WebUI name, such as Karras or SGM Uniform; none = Automatic, the sampler's own"
        ),
    ] = None
    clip_skip: Annotated[int | None, Field(ge=1, le=12, description=CLIP_SKIP_HELP)] = None
    mixed_precision: Annotated[
        Literal["no", "fp16", "bf16"] | None,
        Field(description="precision of the weights; none = fp16 on a GPU, fp32 on a CPU"),
    ] = None
    device: Annotated[str | None, Field(description="cuda, mps or cpu; none = the best there is")] = None

"""The settings of drawing pictures and of comparing LoRAs by them."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from scumble.config.base import CLIP_SKIP_HELP, PREDICTION_HELP, PRESET_HELP, VAE_HELP, ZERO_SNR_HELP, AllowPartial
from scumble.config.section import Also, Place, Section
from scumble.errors import ConfigError

DEFAULT_MOMENTS = 20


class GenerateConfig(Section):
    """Everything `generate` needs."""

    prompt: Annotated[str, Field(description="what to draw; <lora:name:weight> applies a LoRA")]
    negative_prompt: Annotated[str, Field(description="what to keep away from")] = ""
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
    lora: Annotated[
        tuple[Place, ...],
        Field(description="LoRA file or PEFT folder, repeatable; weight 1 unless the prompt names it"),
    ] = ()
    allow_partial: AllowPartial = False
    lora_dir: Annotated[
        Place | None,
        Field(description="folder in which <lora:name> is looked up, besides the --lora files and the runs"),
    ] = None
    runs_dir: Annotated[Place, Field(description="folder of the runs, in which <lora:name> is looked up")] = Path(
        "runs"
    )
    steps: Annotated[int, Also("num_inference_steps"), Field(ge=1, le=1000, description="denoising steps")] = 25
    guidance_scale: Annotated[
        float | None,
        Also("cfg_scale"),
        Field(ge=1, le=30, description="classifier-free guidance; 1 = no guidance; none = as the base advises, else 7"),
    ] = None
    sampler: Annotated[str, Field(description="sampler by its WebUI name")] = "Euler a"
    seed: Annotated[int, Field(ge=0, lt=2**63, description="seed of the first picture; the next ones count up")] = 1025
    n: Annotated[int, Also("num_images"), Field(ge=1, le=1000, description="number of pictures")] = 1
    batch_size: Annotated[int, Field(ge=1, description="pictures per forward pass")] = 1
    width: Annotated[int | None, Field(ge=16, description="width in pixels; none = the base's own")] = None
    height: Annotated[int | None, Field(ge=16, description="height in pixels; none = the base's own")] = None
    clip_skip: Annotated[int | None, Field(ge=1, le=12, description=CLIP_SKIP_HELP)] = None
    mixed_precision: Annotated[
        Literal["no", "fp16", "bf16"] | None,
        Field(description="precision of the weights; none = fp16 on a GPU, fp32 on a CPU"),
    ] = None
    vae_tiling: Annotated[
        bool,
        Field(
            description="decode pictures larger than 512 px in overlapping tiles: less memory, slightly other pixels"
        ),
    ] = False
    device: Annotated[str | None, Field(description="cuda, mps or cpu; none = the best there is")] = None
    out: Annotated[Place, Field(description="folder for the pictures")] = Path("pictures")
    strip: Annotated[bool, Field(description="also draw the reverse process, from noise to picture")] = False
    moments: Annotated[
        int | None, Field(ge=2, description="moments of the strip; none = 20, or fewer with few steps")
    ] = None

    @model_validator(mode="after")
    def _refuse_settings_without_effect(self) -> Self:
        if self.moments is not None and not self.strip:
            raise ConfigError("moments would have no effect: it needs strip; set that or leave moments out")
        if self.allow_partial and not self.lora and "<lora:" not in self.prompt:
            raise ConfigError("allow_partial would have no effect: no LoRA is asked for; leave allow_partial out")
        return self

    @property
    def num_moments(self) -> int:
        """Moments of the reverse process to draw; 0 = none."""
        return 0 if not self.strip else self.moments or min(DEFAULT_MOMENTS, self.steps + 1)


class CompareConfig(Section):
    """Everything `compare` needs: the base and each LoRA beside it, from the same noise."""

    prompt: Annotated[tuple[str, ...], Field(min_length=1, description="what to draw, repeatable: one row a prompt")]
    lora: Annotated[
        tuple[Place, ...],
        Field(min_length=1, description="LoRA file or PEFT folder, repeatable: one column each, beside the base"),
    ]
    weight: Annotated[float, Field(description="strength of each LoRA")] = 1.0
    allow_partial: AllowPartial = False
    negative_prompt: Annotated[str, Field(description="what to keep away from")] = ""
    base: Annotated[
        str | None,
        Also("pretrained_model_name_or_path"),
        Field(
            description="base model: hub id, pipeline folder or .safetensors checkpoint; none = the preset's, else the one the LoRA was trained on"
        ),
    ] = None
    preset: Annotated[str | None, Field(description=PRESET_HELP)] = None
    vae: Annotated[str | None, Field(description=VAE_HELP)] = None
    prediction_type: Annotated[Literal["epsilon", "v_prediction"] | None, Field(description=PREDICTION_HELP)] = None
    zero_terminal_snr: Annotated[bool | None, Field(description=ZERO_SNR_HELP)] = None
    steps: Annotated[int, Also("num_inference_steps"), Field(ge=1, le=1000, description="denoising steps")] = 25
    guidance_scale: Annotated[
        float | None,
        Also("cfg_scale"),
        Field(ge=1, le=30, description="classifier-free guidance; 1 = no guidance; none = as the base advises, else 7"),
    ] = None
    sampler: Annotated[str, Field(description="sampler by its WebUI name")] = "Euler a"
    seed: Annotated[int, Field(ge=0, lt=2**63, description="seed of the noise")] = 1025
    n: Annotated[int, Field(ge=1, le=16, description="pictures per prompt, with seeds counting up")] = 1
    clip_skip: Annotated[int | None, Field(ge=1, le=12, description=CLIP_SKIP_HELP)] = None
    mixed_precision: Annotated[
        Literal["no", "fp16", "bf16"] | None,
        Field(description="precision of the weights; none = fp16 on a GPU, fp32 on a CPU"),
    ] = None
    device: Annotated[str | None, Field(description="cuda, mps or cpu; none = the best there is")] = None
    out: Annotated[Place, Field(description="the picture to write")] = Path("compare.png")

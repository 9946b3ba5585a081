"""The settings of drawing pictures."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, model_validator

from scumble.config.drawing import DrawingConfig
from scumble.config.section import Also, Place
from scumble.errors import ConfigError

DEFAULT_MOMENTS = 20


class GenerateConfig(DrawingConfig):
    """Everything `generate` needs."""

    prompt: Annotated[str, Field(description="what to draw; <lora:name:weight> applies a LoRA")]
    lora: Annotated[
        tuple[Place, ...],
        Field(description="LoRA file or PEFT folder, repeatable; weight 1 unless the prompt names it"),
    ] = ()
    lora_dir: Annotated[
        Place | None,
        Field(description="folder in which <lora:name> is looked up, besides the --lora files and the runs"),
    ] = None
    runs_dir: Annotated[Place, Field(description="folder of the runs, in which <lora:name> is looked up")] = Path(
        "runs"
    )
    seed: Annotated[int, Field(ge=0, lt=2**63, description="seed of the first picture; the next ones count up")] = 1025
    n: Annotated[int, Also("num_images"), Field(ge=1, le=1000, description="number of pictures")] = 1
    batch_size: Annotated[int, Field(ge=1, description="pictures per forward pass")] = 1
    width: Annotated[int | None, Field(ge=16, description="width in pixels; none = the base's own")] = None
    height: Annotated[int | None, Field(ge=16, description="height in pixels; none = the base's own")] = None
    vae_tiling: Annotated[
        bool,
        Field(
            description="decode pictures larger than 512 px in overlapping tiles: less memory, slightly other pixels"
        ),
    ] = False
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

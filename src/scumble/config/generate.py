"""The settings of drawing pictures."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, model_validator

from scumble.config.passes import PassesConfig, idle_passes_settings
from scumble.config.section import Also, Place, Rule, Seed
from scumble.errors import ConfigError

LORA_TAGS = ("<lora:", "<lyco:")
"""How a prompt begins to name a LoRA; the WebUI takes lyco for lora."""


class GenerateConfig(PassesConfig):
    """Everything `generate` needs."""

    prompt: Annotated[str | None, Field(description="what to draw; <lora:name:weight> applies a LoRA")] = None
    prompts_file: Annotated[
        Place | None,
        Field(
            description="text file of prompts instead, one a line, with --n --w --h --d --s --l as kohya's scripts read them"
        ),
    ] = None
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
    seed: Annotated[Seed, Field(description="seed of the first picture; the next ones count up")] = 1025
    seeds: Annotated[
        tuple[Seed, ...],
        Field(description="seeds one by one, such as 1 7 9, instead of seed and n: a picture each"),
    ] = ()
    n: Annotated[int, Also("num_images"), Field(ge=1, le=1000, description="number of pictures, of each prompt")] = 1
    batch_size: Annotated[int, Field(ge=1, description="pictures per forward pass")] = 1
    width: Annotated[int | None, Field(ge=16, description="width in pixels; none = the base's own")] = None
    height: Annotated[int | None, Field(ge=16, description="height in pixels; none = the base's own")] = None
    vae_tiling: Annotated[
        bool,
        Field(
            description="decode pictures larger than 512 px in overlapping tiles: less memory, slightly other pixels"
        ),
    ] = False
    fold: Annotated[
        bool | None,
        Field(
            description="add the LoRAs to the weights: quicker, takes memory for the untouched weights, equal to rounding; none = if no strength changes between the pictures"
        ),
    ] = None
    out: Annotated[Place, Field(description="folder for the pictures")] = Path("pictures")
    strip: Annotated[bool, Field(description="also draw the reverse process, from noise to picture")] = False
    moments: Annotated[
        int | None, Field(ge=2, description="moments of the strip; none = 20, or fewer with few steps")
    ] = None

    @model_validator(mode="after")
    def _refuse_settings_without_effect(self) -> Self:
        for is_idle, setting, needs in [*idle_passes_settings(self), *self._idle()]:
            if is_idle:
                raise ConfigError(
                    f"{setting} would have no effect: it needs {needs}; change that, or leave {setting} out"
                )
        if self.prompt is not None and self.prompts_file is not None:
            raise ConfigError("give a prompt or prompts_file, not both")
        twice = next((seed for seed in self.seeds if self.seeds.count(seed) > 1), None)
        if twice is not None:
            raise ConfigError(f"seeds: {twice} is given twice, and would draw the same picture twice")
        if self.prompt is None and self.prompts_file is None:
            raise ConfigError("nothing to draw: give a prompt, or prompts_file")
        return self

    def _idle(self) -> list[Rule]:
        has_lora = (
            bool(self.lora) or self.prompts_file is not None or any(tag in (self.prompt or "") for tag in LORA_TAGS)
        )
        return [
            (self.moments is not None and not self.strip, "moments", "strip"),
            (self.strip and self.hires_scale is not None, "strip", "hires_scale left out, because it shows one pass"),
            (self.allow_partial and not has_lora, "allow_partial", "a LoRA"),
            (bool(self.seeds) and self.n != 1, "n", "seeds left out"),
            (bool(self.seeds) and self.seed != type(self).model_fields["seed"].default, "seed", "seeds left out"),
        ]

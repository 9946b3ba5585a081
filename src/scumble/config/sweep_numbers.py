"""The settings of what a sweep measures of each cell."""

from typing import Annotated, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from scumble.config.metrics import WITHOUT_EYES, WITHOUT_PICTURES, known_metrics
from scumble.config.output import split_names
from scumble.config.section import Also, Section
from scumble.errors import ConfigError


class NumbersConfig(Section):
    """What is measured of each cell when all are trained, by pictures of its LoRA."""

    metrics: Annotated[
        tuple[str, ...],
        BeforeValidator(split_names),
        AfterValidator(known_metrics),
        Field(
            description="numbers that are wanted of each cell, repeatable or with commas, as of measure; none = those that cost "
            "little: drift, diversity and nearest, of the model in the box the judge's marks, with clip the CLIP score"
        ),
    ] = ()
    metric_pictures: Annotated[
        int,
        Field(
            ge=0, le=1000, description="pictures of each prompt that they are computed from; 0 = nothing is measured"
        ),
    ] = 4
    other_prompts: Annotated[
        tuple[str, ...],
        Also("other_prompt"),
        Field(
            description="prompts that the LoRAs shall leave as they are, repeatable: without the trigger; none = a few common things"
        ),
    ] = ()
    clip: Annotated[
        str | None,
        Field(description="CLIP model that looks at the pictures: a folder, or a hub id that is in the hub's cache"),
    ] = None

    @model_validator(mode="after")
    def _refuse_what_cannot_be(self) -> Self:
        if self.metric_pictures == 0:
            for name in ("metrics", "other_prompts", "clip"):
                if getattr(self, name):
                    raise ConfigError(f"{name} would have no effect: metric_pictures is 0")
        without = [name for name in self.metrics if name in WITHOUT_PICTURES]
        if without:
            raise ConfigError(f"metrics={','.join(without)}: a sweep has the validation losses of each cell already")
        if "clip_score" in self.metrics and self.clip is None:
            raise ConfigError("metrics=clip_score needs clip: the folder of a CLIP model")
        if self.metrics and self.clip is not None and WITHOUT_EYES.issuperset(self.metrics):
            raise ConfigError(f"clip would have no effect: {', '.join(self.metrics)} takes none; leave clip out")
        return self

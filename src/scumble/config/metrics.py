"""The settings of measuring a LoRA."""

from typing import Annotated, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from scumble import registry
from scumble.config.drawing import DrawingConfig
from scumble.config.output import split_names
from scumble.config.section import Also, Place, Seed
from scumble.config.there import LORA_THERE
from scumble.errors import ConfigError, nearest

WITHOUT_EYES = frozenset({"run_loss", "validation_loss", "judge", "nearest"})
"""Metrics that no network has to look at pictures for."""

ONLY_WITH_EYES = frozenset({"similarity", "fid", "kid"})
"""Metrics that are made of nothing else than what a network sees."""

WITHOUT_PICTURES = frozenset({"run_loss", "validation_loss"})
"""Metrics that no picture is drawn for."""


def known_metrics(names: tuple[str, ...]) -> tuple[str, ...]:
    """Known metrics, each once.

    Raises:
        ValueError: inside a validator, pydantic collects it.
    """
    for name in names:
        if name not in registry.names("metric"):
            raise ValueError(f"'{name}' is no metric{nearest(name, registry.names('metric'))}")
    return tuple(dict.fromkeys(names))


class MeasureConfig(DrawingConfig):
    """Everything `measure` needs: the LoRA, what it learnt from, what is drawn to measure it, and which numbers are wanted."""

    lora: Annotated[Place, LORA_THERE, Field(description="LoRA file or PEFT folder")]
    weight: Annotated[float, Field(description="strength of the LoRA")] = 1.0
    metrics: Annotated[
        tuple[str, ...],
        BeforeValidator(split_names),
        AfterValidator(known_metrics),
        Field(
            description=f"numbers that are wanted, repeatable or with commas: {', '.join(registry.names('metric'))}; none = all "
            "that can be measured here"
        ),
    ] = ()
    data: Annotated[
        Place | None,
        Also("folder", "train_data_dir"),
        Field(description="folder of the training pictures; none = those of the run in whose folder the LoRA lies"),
    ] = None
    trigger: Annotated[
        str | None, Field(description="of data: pictures without a caption get 'a photo of TRIGGER'")
    ] = None
    caption: Annotated[str | None, Field(description="of data: one caption for all pictures that have none")] = None
    prompt: Annotated[
        tuple[str, ...],
        Field(
            description="what the LoRA is for, repeatable; none = the run's sample prompts, else captions of the training pictures"
        ),
    ] = ()
    other_prompt: Annotated[
        tuple[str, ...],
        Field(description="what it shall leave as it is, repeatable: without the trigger; none = a few common things"),
    ] = ()
    n: Annotated[int, Also("num_images"), Field(ge=1, le=1000, description="pictures of each prompt")] = 8
    seed: Annotated[Seed, Field(description="seed of a prompt's first picture; they count up")] = 1025
    clip: Annotated[
        str | None,
        Field(description="CLIP model that looks at the pictures: a folder, or a hub id that is in the hub's cache"),
    ] = None
    batch_size: Annotated[int, Field(ge=1, description="pictures per forward pass")] = 4
    as_json: Annotated[bool, Also("json"), Field(description="print the numbers as JSON")] = False

    @model_validator(mode="after")
    def _refuse_settings_without_effect(self) -> Self:
        for name in ("trigger", "caption"):
            if getattr(self, name) is not None and self.data is None:
                raise ConfigError(f"{name} would have no effect: it needs data; give --data or leave {name} out")
        if self.metrics and self.clip is not None and WITHOUT_EYES.issuperset(self.metrics):
            raise ConfigError(f"clip would have no effect: {', '.join(self.metrics)} takes none; leave clip out")
        if self.metrics and WITHOUT_PICTURES.issuperset(self.metrics):
            for name in ("prompt", "other_prompt"):
                if getattr(self, name):
                    raise ConfigError(
                        f"{name} would have no effect: {', '.join(self.metrics)} draws no pictures; leave {name} out"
                    )
        return self

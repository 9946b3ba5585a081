"""The settings of validation and sample pictures."""

from typing import Annotated

from pydantic import Field

from scumble.config.section import Rule, Section, Seed


class ValidationConfig(Section):
    """The held-out loss, early stopping and sample pictures."""

    validation_split: Annotated[
        float, Field(ge=0, le=0.5, description="share of pictures held out; with fewer than 10 pictures none are")
    ] = 0.1
    validation_seed: Annotated[
        Seed | None,
        Field(
            description="seed of which pictures are held out, and of the validation's noise, so that the losses of runs with "
            "different seeds can be compared; none = the run's seed",
        ),
    ] = None
    validation_steps: Annotated[
        int | None,
        Field(
            ge=1,
            description="optimizer steps between validations; none = 20 times a run, or fewer, down to 4, where that would take "
            "more than a tenth of its work",
        ),
    ] = None
    patience: Annotated[
        int | None, Field(ge=1, description="stop after this many validations without a better loss; none = never")
    ] = None
    validation_prompt: Annotated[
        str | None, Field(description="prompt of the sample pictures, several separated by '|'")
    ] = None
    num_validation_images: Annotated[
        int | None, Field(ge=1, le=64, description="sample pictures per prompt; none = 1")
    ] = None
    sample_steps: Annotated[
        int | None, Field(ge=1, description="optimizer steps between sample pictures; none = 4 times a run")
    ] = None

    def seed_for(self, run_seed: int) -> int:
        """The seed of the validation in a run with this seed."""
        return run_seed if self.validation_seed is None else self.validation_seed


def idle_validation_settings(val: ValidationConfig) -> list[Rule]:
    """Settings of validation that would do nothing."""
    has_prompt = val.validation_prompt is not None
    return [
        (val.num_validation_images is not None and not has_prompt, "num_validation_images", "validation_prompt"),
        (val.sample_steps is not None and not has_prompt, "sample_steps", "validation_prompt"),
    ]

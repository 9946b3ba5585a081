"""The settings of prior preservation."""

from typing import Annotated

from pydantic import Field

from scumble.config.section import Place, Rule, Section


class PriorConfig(Section):
    """Prior preservation: class pictures beside one's own, so that the rest is not forgotten."""

    class_prompt: Annotated[
        str | None,
        Field(
            description="prompts of the class pictures, several separated by '|'; the base draws these pictures unless class_data_dir gives some"
        ),
    ] = None
    class_data_dir: Annotated[
        Place | None, Field(description="folder of class pictures, with captions like those of the own pictures")
    ] = None
    num_class_images: Annotated[
        int | None, Field(ge=1, description="how many class pictures the base draws; none = 36")
    ] = None
    prior_share: Annotated[
        float | None, Field(gt=0, lt=1, description="share of class pictures among all training samples; none = 0.3")
    ] = None
    prior_loss_weight: Annotated[
        float | None, Field(gt=0, description="weight of the class pictures' loss; none = 1")
    ] = None


def idle_prior_settings(prior: PriorConfig) -> list[Rule]:
    """Settings of prior preservation that would do nothing."""
    is_drawn = prior.class_prompt is not None and prior.class_data_dir is None
    return [
        (
            prior.num_class_images is not None and not is_drawn,
            "num_class_images",
            "class_prompt, and class_data_dir left out",
        ),
    ]

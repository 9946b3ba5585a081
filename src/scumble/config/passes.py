"""The settings of what a picture starts from, and of a second pass at a larger size."""

from typing import Annotated, Literal

from pydantic import Field

from scumble.config.drawing import DrawingConfig
from scumble.config.section import Also, Place, Rule
from scumble.config.there import PICTURE_THERE

DEFAULT_STRENGTH = 0.75
DEFAULT_HIRES_STRENGTH = 0.7

Strength = Annotated[float | None, Field(gt=0, le=1)]


class PassesConfig(DrawingConfig):
    """Drawing, from noise alone or over a picture, in one pass or two."""

    image: Annotated[
        Place | None,
        PICTURE_THERE,
        Also("init_image"),
        Field(description="picture to start from (img2img); its size is taken unless width or height says another"),
    ] = None
    denoising_strength: Annotated[
        Strength,
        Also("strength"),
        Field(
            description="img2img: how much is drawn anew, above 0, at most 1; of the steps that share is taken, as in the WebUI; "
            f"none = {DEFAULT_STRENGTH}"
        ),
    ] = None
    hires_scale: Annotated[
        float | None,
        Also("hr_scale"),
        Field(gt=1, le=8, description="draw a second time over the picture enlarged so many times; none = one pass"),
    ] = None
    hires_steps: Annotated[
        int | None,
        Also("hr_second_pass_steps"),
        Field(ge=1, le=1000, description="steps of the second pass, all taken; none = as many as in the first"),
    ] = None
    hires_denoising_strength: Annotated[
        Strength,
        Field(description=f"how much the second pass draws anew; none = {DEFAULT_HIRES_STRENGTH}"),
    ] = None
    hires_upscaler: Annotated[
        Literal["latent", "lanczos"] | Place | None,
        Also("hr_upscaler"),
        Field(
            description="what enlarges between the passes: latent, lanczos, or the file of a model as upscale takes it; "
            "none = latent"
        ),
    ] = None


def idle_passes_settings(config: PassesConfig) -> list[Rule]:
    """(would do nothing, setting, what it needs) of every setting that depends on another."""
    of_hires = ("hires_steps", "hires_denoising_strength", "hires_upscaler")
    return [
        (config.denoising_strength is not None and config.image is None, "denoising_strength", "image"),
        *((getattr(config, name) is not None and config.hires_scale is None, name, "hires_scale") for name in of_hires),
        (config.image is not None and config.hires_scale is not None, "hires_scale", "image left out"),
    ]

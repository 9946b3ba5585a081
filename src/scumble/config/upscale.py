"""The settings of making pictures larger: by a model that was made for it, or by interpolation."""

from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from scumble.config.section import Place, Section
from scumble.errors import ConfigError

INTERPOLATIONS = frozenset({"nearest", "box", "bilinear", "bicubic", "hamming", "lanczos"})
"""What is no model, though other programs list it among the upscalers."""

PICTURE_HELP = "picture, or folder of pictures at any depth, repeatable"
SCALE_HELP = "times wider and higher"
WIDTH_HELP = "width of the results in pixels; with it alone the height follows"
HEIGHT_HELP = "height of the results in pixels; with it alone the width follows"
FIRST_FRAME_HELP = (
    "of an animation take the first frame, of a file of several pages the first one; otherwise they are left out"
)
OVERWRITE_HELP = "replace results that are there"


class UpscaleConfig(Section):
    """Everything `upscale` needs: pictures, and a model that enlarges them."""

    picture: Annotated[tuple[Place, ...], Field(min_length=1, description=PICTURE_HELP)]
    model: Annotated[
        Place,
        Field(description="file of a model that enlarges pictures: .safetensors, .pth or .pt"),
    ]
    out: Annotated[Place, Field(description="folder for the results, or for one picture a .png file")]
    scale: Annotated[float | None, Field(gt=1, le=64, description=f"{SCALE_HELP}; none = as the model does")] = None
    width: Annotated[int | None, Field(ge=1, description=WIDTH_HELP)] = None
    height: Annotated[int | None, Field(ge=1, description=HEIGHT_HELP)] = None
    tile: Annotated[
        int | None, Field(ge=16, description="side of the tiles in pixels of the picture; none = by the free memory")
    ] = None
    overlap: Annotated[int, Field(ge=4, description="pixels that neighbouring tiles share")] = 32
    first_frame: Annotated[bool, Field(description=FIRST_FRAME_HELP)] = False
    overwrite: Annotated[bool, Field(description=OVERWRITE_HELP)] = False
    mixed_precision: Annotated[
        Literal["no", "fp16", "bf16"] | None,
        Field(description="precision of the model; none = half on a GPU where the model bears it, else fp32"),
    ] = None
    device: Annotated[str | None, Field(description="cuda, mps or cpu; none = the best there is")] = None

    @field_validator("model")
    @classmethod
    def _refuse_interpolation(cls, model: Place) -> Place:
        if model.name.lower() in INTERPOLATIONS and not model.exists():
            raise ConfigError(f"model={model}: is no model; 'scumble resize-pictures' interpolates, by Lanczos")
        return model

    @model_validator(mode="after")
    def _refuse_what_cannot_be(self) -> Self:
        refuse_two_sizes(self.scale, self.width, self.height)
        if self.tile is not None and self.tile < 2 * self.overlap:
            raise ConfigError(
                f"tile={self.tile}: must be twice the overlap or more, {2 * self.overlap}; or take a smaller overlap"
            )
        return self


class ResizePicturesConfig(Section):
    """Everything `resize-pictures` needs: pictures, and a size that they are brought to by Lanczos."""

    picture: Annotated[tuple[Place, ...], Field(min_length=1, description=PICTURE_HELP)]
    out: Annotated[Place, Field(description="folder for the results, or for one picture a .png file")]
    scale: Annotated[float | None, Field(gt=0, le=64, description=f"{SCALE_HELP}; below 1 = smaller")] = None
    width: Annotated[int | None, Field(ge=1, description=WIDTH_HELP)] = None
    height: Annotated[int | None, Field(ge=1, description=HEIGHT_HELP)] = None
    first_frame: Annotated[bool, Field(description=FIRST_FRAME_HELP)] = False
    overwrite: Annotated[bool, Field(description=OVERWRITE_HELP)] = False

    @model_validator(mode="after")
    def _need_one_size(self) -> Self:
        refuse_two_sizes(self.scale, self.width, self.height)
        if self.scale is None and self.width is None and self.height is None:
            raise ConfigError("scale, width or height must be given: --scale 2, or --width 1024")
        return self


def refuse_two_sizes(scale: float | None, width: int | None, height: int | None) -> None:
    """Raise where a factor and a side in pixels were given.

    Raises:
        ConfigError: both were.
    """
    if scale is not None and (width is not None or height is not None):
        raise ConfigError("scale and width or height say the size twice; give one of them")

"""The settings of making pictures larger: by a model that was made for it, a base that draws over them, or interpolation."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, field_validator, model_validator

from scumble.config.drawing import DrawingConfig
from scumble.config.section import Also, Place, Section, Seed
from scumble.config.there import LORA_THERE, PICTURE_THERE
from scumble.errors import ConfigError

INTERPOLATIONS = frozenset({"nearest", "box", "bilinear", "bicubic", "hamming", "lanczos"})
"""What is no model, though other programs list it among the upscalers."""

OVERLAP_PX = 32
"""What neighbouring tiles of a model share."""

PICTURE_HELP = "picture, or folder of pictures at any depth, repeatable"
SCALE_HELP = "times wider and higher"
WIDTH_HELP = "width of the results in pixels; with it alone the height follows"
HEIGHT_HELP = "height of the results in pixels; with it alone the width follows"
FIRST_FRAME_HELP = (
    "of an animation take the first frame, of a file of several pages the first one; otherwise they are left out"
)
OVERWRITE_HELP = "replace results that are there"


class UpscaleConfig(DrawingConfig):
    """Everything `upscale` needs: pictures, and a model that enlarges them, or a base that draws over them."""

    picture: Annotated[tuple[Place, ...], PICTURE_THERE, Field(min_length=1, description=PICTURE_HELP)]
    model: Annotated[
        Place | None,
        Field(
            description="file of a model that enlarges pictures: .safetensors, .pth or .pt; none = the base draws over the "
            "picture enlarged by Lanczos"
        ),
    ] = None
    out: Annotated[Place, Field(description="folder for the results, or for one picture a .png file")]
    scale: Annotated[
        float | None, Field(gt=1, le=64, description=f"{SCALE_HELP}; none = as the model does, 2 without one")
    ] = None
    width: Annotated[int | None, Field(ge=1, description=WIDTH_HELP)] = None
    height: Annotated[int | None, Field(ge=1, description=HEIGHT_HELP)] = None
    tile: Annotated[
        int | None,
        Field(
            ge=16,
            description="side of the tiles: for a model in pixels of the picture, none = by the free memory; for a base in "
            "those of the result, none = twice the base's resolution, at most 1024 or that",
        ),
    ] = None
    overlap: Annotated[
        int | None,
        Field(
            ge=4,
            description="pixels that neighbouring tiles share; none = 32 for a model, an eighth of a tile for a base",
        ),
    ] = None
    prompt: Annotated[
        str | None, Field(description="what the base draws; none = as the recipe in each picture says")
    ] = None
    lora: Annotated[
        tuple[Place, ...], LORA_THERE, Field(description="LoRA file or PEFT folder for the base, repeatable")
    ] = ()
    lora_dir: Annotated[
        Place | None, Field(description="folder in which LoRAs are looked up by name, besides --lora and the runs")
    ] = None
    runs_dir: Annotated[Place, Field(description="folder of the runs, in which LoRAs are looked up by name")] = Path(
        "runs"
    )
    denoising_strength: Annotated[
        float,
        Also("strength"),
        Field(gt=0, le=1, description="how much the base draws anew: of the steps that share is taken"),
    ] = 0.35
    seed: Annotated[
        Seed,
        Field(description="seed of the first tile, the next ones count up; a recipe brings its own"),
    ] = 1025
    first_frame: Annotated[bool, Field(description=FIRST_FRAME_HELP)] = False
    overwrite: Annotated[bool, Field(description=OVERWRITE_HELP)] = False

    @field_validator("model")
    @classmethod
    def _refuse_interpolation(cls, model: Path | None) -> Path | None:
        if model is not None and model.name.lower() in INTERPOLATIONS and not model.exists():
            raise ConfigError(f"model={model}: is no model; 'scumble resize-pictures' interpolates, by Lanczos")
        return model

    @model_validator(mode="after")
    def _refuse_what_cannot_be(self) -> Self:
        refuse_two_sizes(self.scale, self.width, self.height)
        overlap = self.overlap or (OVERLAP_PX if self.model is not None else 0)
        if self.tile is not None and self.tile < 2 * overlap:
            raise ConfigError(
                f"tile={self.tile}: must be twice the overlap or more, {2 * overlap}; or take a smaller overlap"
            )
        idle = sorted(FOR_A_BASE & self.model_fields_set) if self.model is not None else []
        if idle:
            raise ConfigError(
                f"{idle[0]} would have no effect: it is for a base, and --model enlarges; leave one of them out"
            )
        return self


FOR_A_BASE = frozenset(
    {
        *DrawingConfig.model_fields.keys() - {"mixed_precision", "device"},
        *("prompt", "lora", "lora_dir", "runs_dir", "denoising_strength", "seed"),
    }
)
"""Settings that no upscaling model has."""


class ResizePicturesConfig(Section):
    """Everything `resize-pictures` needs: pictures, and a size that they are brought to by Lanczos."""

    picture: Annotated[tuple[Place, ...], PICTURE_THERE, Field(min_length=1, description=PICTURE_HELP)]
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

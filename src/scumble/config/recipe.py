"""The settings of looking at the recipe of a picture, and of drawing it again."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from scumble.config.section import Also, Place, Section
from scumble.config.there import PICTURE_THERE
from scumble.errors import ConfigError


class RecipeConfig(Section):
    """Everything `recipe` needs."""

    picture: Annotated[Place, PICTURE_THERE, Field(description="picture drawn here, or by the WebUI")]
    as_json: Annotated[bool, Also("json"), Field(description="print the recipe as JSON")] = False
    run: Annotated[bool, Field(description="draw it again, and say whether the pixels are the same")] = False
    base: Annotated[
        str | None,
        Field(description="base model: where the recipe's own is to be found, by hub id, folder or file"),
    ] = None
    lora: Annotated[
        tuple[Place, ...],
        Field(description="LoRA file or PEFT folder to look among, repeatable; by its hash, whatever its name"),
    ] = ()
    lora_dir: Annotated[
        Place | None, Field(description="folder of LoRAs to look among, besides the --lora files and the runs")
    ] = None
    runs_dir: Annotated[Place, Field(description="folder of the runs, whose LoRAs are looked among")] = Path("runs")
    image: Annotated[Place | None, PICTURE_THERE, Field(description="img2img: the picture that it started from")] = None
    hires_upscaler: Annotated[
        Place | None,
        Also("hr_upscaler"),
        Field(description="file of the model that enlarged between the passes; by its hash, whatever its name"),
    ] = None
    mixed_precision: Annotated[
        Literal["no", "fp16", "bf16"] | None, Field(description="precision of the weights; none = as it was drawn")
    ] = None
    device: Annotated[str | None, Field(description="cuda, mps or cpu; none = the best there is")] = None
    out: Annotated[Place, Field(description="folder for the new picture")] = Path("pictures")

    @model_validator(mode="after")
    def _refuse_settings_without_effect(self) -> Self:
        plain = {name: field.default for name, field in type(self).model_fields.items()}
        of_run = [name for name in plain if name not in ("picture", "as_json", "run")]
        idle = [name for name in of_run if getattr(self, name) != plain[name]]
        if idle and not self.run:
            raise ConfigError(f"{idle[0]} would have no effect: it needs run; give run too, or leave {idle[0]} out")
        if self.run and self.as_json:
            raise ConfigError("as_json would have no effect with run: leave one of them out")
        return self

"""The settings of sharing: publishing a LoRA, and importing another program's settings."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from scumble.config.base import AllowPartial
from scumble.config.section import Also, Place, Section, Seed, file_name
from scumble.config.there import LORA_THERE
from scumble.errors import ConfigError


class ImportConfig(Section):
    """Everything `import` needs: the settings file of another trainer."""

    file: Annotated[Place, Field(description="TOML file of kohya's scripts, or JSON file of OneTrainer")]
    out: Annotated[Place, Field(description="file of settings to write, for 'scumble train --config'")] = Path(
        "scumble.toml"
    )
    overwrite: Annotated[bool, Field(description="replace the file that is there")] = False


class PublishConfig(Section):
    """Everything `publish` needs: a LoRA file as a folder that is ready to share."""

    file: Annotated[Place, LORA_THERE, Field(description="LoRA file or PEFT folder")]
    out: Annotated[Place | None, Field(description="folder to write; none = NAME-published beside the file")] = None
    name: Annotated[
        str | None, AfterValidator(file_name), Field(description="name of the shared files; none = the file's own")
    ] = None
    overwrite: Annotated[bool, Field(description="replace the folder that is there")] = False
    base: Annotated[
        str | None,
        Field(
            description="base for the previews: hub id, folder or checkpoint; none = the one the LoRA was trained on"
        ),
    ] = None
    allow_partial: AllowPartial = False
    prompt: Annotated[
        tuple[str, ...],
        Field(description="what the previews show, repeatable; none = 'a photo of TRIGGER', or the commonest captions"),
    ] = ()
    negative_prompt: Annotated[str, Field(description="what the previews keep away from")] = ""
    previews: Annotated[bool, Field(description="draw preview pictures")] = True
    n: Annotated[int, Field(ge=1, le=16, description="preview pictures per prompt, with seeds counting up")] = 2
    weight: Annotated[float, Field(description="strength to use the LoRA with: of the previews and the sidecars")] = 1.0
    steps: Annotated[int, Field(ge=1, le=1000, description="denoising steps of the previews")] = 25
    guidance_scale: Annotated[
        float | None, Field(ge=1, le=30, description="guidance of the previews; none = as the base advises, else 7")
    ] = None
    sampler: Annotated[str, Field(description="sampler of the previews by its WebUI name")] = "Euler a"
    schedule: Annotated[
        str | None,
        Also("schedule_type"),
        Field(description="schedule type of the previews by its WebUI name, such as Karras; none = the sampler's own"),
    ] = None
    seed: Annotated[Seed, Field(description="seed of the first preview")] = 1025
    trigger: Annotated[str | None, Field(description="the word that calls the LoRA; none = as the file says")] = None
    license: Annotated[
        str | None,
        Field(
            description="licence by its hub name, such as apache-2.0 or openrail; none = the card says that it is open"
        ),
    ] = None
    description: Annotated[str | None, Field(description="a few words on what the LoRA draws")] = None
    device: Annotated[str | None, Field(description="cuda, mps or cpu; none = the best there is")] = None
    push: Annotated[str | None, Field(description="also send the folder to this repository of the hub: USER/NAME")] = (
        None
    )
    private: Annotated[bool, Field(description="make the repository private where --push makes it")] = False

    @model_validator(mode="after")
    def _refuse_settings_without_effect(self) -> Self:
        if self.private and self.push is None:
            raise ConfigError("private would have no effect: nothing is sent without push; leave private out")
        if self.previews:
            return self
        for name in ("n", "device"):
            if name in self.model_fields_set:
                raise ConfigError(f"{name} would have no effect: no preview is drawn; leave {name} out")
        if len(self.prompt) > 1:
            raise ConfigError("prompt: found several, and no preview is drawn; give one for the workflow and the card")
        return self

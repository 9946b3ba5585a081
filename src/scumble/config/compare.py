"""The settings of comparing pictures: what stands beside what."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, model_validator

from scumble.config.drawing import DrawingConfig
from scumble.config.section import Place, Seed
from scumble.config.there import LORA_THERE
from scumble.errors import ConfigError

AXES = ("x", "y", "z")
AXIS_HELP = (
    'such as "weight: 0-1 [5]" or "cfg: 3, 5-9 (+2)"; of lora, checkpoint, weight, prompt, prompt s/r, negative prompt, '
    "sampler, schedule, steps, cfg, clip skip, seed, base, size"
)
DEFAULT_WEIGHTS = "0-1 [5]"


class CompareConfig(DrawingConfig):
    """Everything `compare` needs: a table of pictures from the same noise, in which only the axes differ."""

    prompt: Annotated[tuple[str, ...], Field(description="what to draw, repeatable: one row a prompt")] = ()
    lora: Annotated[
        tuple[Place, ...],
        LORA_THERE,
        Field(
            description="LoRA file or PEFT folder, repeatable: one column each, beside the base; with --x, all of them in every cell"
        ),
    ] = ()
    weight: Annotated[float, Field(description="strength of each LoRA")] = 1.0
    x: Annotated[
        str | None, Field(description=f"what differs from column to column, {AXIS_HELP}; none = base and LoRAs")
    ] = None
    y: Annotated[
        str | None,
        Field(description="what differs from row to row, written as --x is; none = prompts and seeds"),
    ] = None
    z: Annotated[str | None, Field(description="what differs from table to table, written as --x is")] = None
    plane: Annotated[
        tuple[Place, Place] | None,
        LORA_THERE,
        Field(description="two LoRA files over a plane of their weights: the first to the right, the second down"),
    ] = None
    weights: Annotated[
        str | None, Field(description=f'weights of the plane; none = "{DEFAULT_WEIGHTS}", five of each')
    ] = None
    seed: Annotated[Seed, Field(description="seed of the noise, the same in every cell")] = 1025
    n: Annotated[int, Field(ge=1, le=16, description="pictures per prompt, with seeds counting up")] = 1
    out: Annotated[
        Place, Field(description="the picture to write; the page goes beside it, under the same name with .html")
    ] = Path("compare.png")
    cells: Annotated[
        Place | None,
        Field(description="folder to keep each cell's full picture in; none = only until the grid is done"),
    ] = None

    @model_validator(mode="after")
    def _refuse_what_cannot_be(self) -> Self:
        given = [axis for axis in AXES if getattr(self, axis) is not None]
        if not self.prompt and not given:
            raise ConfigError("prompt in [compare] must be given: say by --prompt what to draw")
        if not self.lora and not given and self.plane is None:
            raise ConfigError('nothing to compare: give --lora FILE, or an axis such as --x "steps: 10, 20, 40"')
        if self.plane is not None and self.plane[0] == self.plane[1]:
            raise ConfigError(f"plane={self.plane[0]}: given twice; a plane has two LoRAs")
        if self.plane is not None and {"x", "y"} & set(given):
            raise ConfigError("plane would have no effect: --x or --y says something else; leave one out")
        if self.weights is not None and self.plane is None:
            raise ConfigError('weights would have no effect: it needs plane; for one LoRA take --x "weight: 0-1 [5]"')
        if self.allow_partial and not self.lora and self.plane is None and not given:
            raise ConfigError("allow_partial would have no effect: no LoRA is asked for; leave allow_partial out")
        return self

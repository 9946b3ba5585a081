"""The settings of what belongs to the model in the box: making it, and the demonstration with it."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from scumble.config import Place, Section


class DemoConfig(Section):
    """The demonstration: two LoRAs on the model in the box, judged."""

    out: Annotated[Place, Field(description="folder for the report, the pictures and the LoRAs; made anew")] = Path(
        "demo"
    )
    seed: Annotated[int, Field(ge=0, lt=2**31, description="seed of the training and the drawing")] = 0
    concept_steps: Annotated[int, Field(ge=1, description="optimizer steps of the concept LoRA")] = 400
    style_steps: Annotated[int, Field(ge=1, description="optimizer steps of the style LoRA")] = 300
    pictures_per_score: Annotated[int, Field(ge=9, le=2000, description="pictures that each figure is taken from")] = 90

"""The settings of comparing LoRAs by their pictures."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from scumble.config.drawing import DrawingConfig
from scumble.config.section import Place


class CompareConfig(DrawingConfig):
    """Everything `compare` needs: the base and each LoRA beside it, from the same noise."""

    prompt: Annotated[tuple[str, ...], Field(min_length=1, description="what to draw, repeatable: one row a prompt")]
    lora: Annotated[
        tuple[Place, ...],
        Field(min_length=1, description="LoRA file or PEFT folder, repeatable: one column each, beside the base"),
    ]
    weight: Annotated[float, Field(description="strength of each LoRA")] = 1.0
    seed: Annotated[int, Field(ge=0, lt=2**63, description="seed of the noise")] = 1025
    n: Annotated[int, Field(ge=1, le=16, description="pictures per prompt, with seeds counting up")] = 1
    out: Annotated[Place, Field(description="the picture to write")] = Path("compare.png")

"""A picture and everything that made it: with the recipe, the same picture can be drawn again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image


@dataclass(frozen=True)
class LoraUse:
    """A LoRA that takes part in a picture.

    Attributes:
        name: what <lora:name:weight> calls it.
        weight: strength of its change; 0 = none.
        hash: SHA-256 of the file's tensors in hex, or "" where there is no file.
        blocks: weights of the denoiser's blocks as the tag writes them, such as "IN04=0.5"; "" = 1 everywhere.
    """

    name: str
    weight: float = 1.0
    hash: str = ""
    blocks: str = ""

    @property
    def tag(self) -> str:
        """The LoRA as it is written in a prompt."""
        blocks = f":lbw={self.blocks}" if self.blocks else ""
        return f"<lora:{self.name}:{plain_number(self.weight)}{blocks}>"


@dataclass(frozen=True)
class Recipe:
    """What one picture is drawn from.

    Attributes:
        prompt: without LoRA tags.
        sampler: WebUI name.
        seed: of the picture's own noise.
        clip_skip: counted as the WebUI does, 1 = last layer.
        base: the base model as the person named it.
    """

    prompt: str
    width: int
    height: int
    negative_prompt: str = ""
    steps: int = 25
    guidance_scale: float = 7.0
    sampler: str = "Euler a"
    seed: int = 1025
    clip_skip: int = 1
    loras: tuple[LoraUse, ...] = ()
    base: str = ""


@dataclass(frozen=True)
class Picture:
    """A drawn picture.

    Attributes:
        image: RGB.
        recipe: what it was drawn from.
        moments: the reverse process that led to it, from noise to picture, where that was asked for.
    """

    image: Image.Image
    recipe: Recipe
    moments: tuple[Moment, ...] = ()


@dataclass(frozen=True)
class Moment:
    """The picture in the making, after `step` denoising steps; 0 = the noise it starts from."""

    step: int
    image: Image.Image


def plain_number(value: float) -> str:
    """A number as a person writes it: 7, not 7.0; exact otherwise."""
    return str(int(value)) if value == int(value) else repr(value)

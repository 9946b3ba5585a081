"""A picture and everything that made it: with the recipe, the same picture can be drawn again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from PIL import Image


@dataclass(frozen=True)
class LoraUse:
    """A LoRA that takes part in a picture.

    Attributes:
        name: what <lora:name:weight> calls it.
        weight: strength of its change; 0 = none.
        hash: SHA-256 of the file's tensors in hex, or "" where there is no file.
        blocks: weights of the denoiser's blocks as the tag writes them, such as "IN04=0.5"; "" = 1 everywhere.
        text_weight: strength in the text encoders; None = as in the denoiser.
    """

    name: str
    weight: float = 1.0
    hash: str = ""
    blocks: str = ""
    text_weight: float | None = None

    @property
    def tag(self) -> str:
        """The LoRA as it is written in a prompt: with two numbers the first is the text encoder's."""
        strengths = [number for number in (self.text_weight, self.weight) if number is not None]
        blocks = [f"lbw={self.blocks}"] if self.blocks else []
        return f"<lora:{':'.join([self.name, *map(plain_number, strengths), *blocks])}>"

    def strength_in(self, part: str) -> float:
        """Its strength in a model part, "unet" or a text encoder, before block weights."""
        return self.weight if part == "unet" or self.text_weight is None else self.text_weight


@dataclass(frozen=True)
class SourcePicture:
    """The picture that drawing starts from instead of noise alone (img2img).

    Attributes:
        hash: of its pixels, see `pixels.pixel_hash`.
        strength: how much of the schedule is drawn, above 0, at most 1 = all of it.
        name: of its file, for people.
    """

    hash: str
    strength: float = 0.75
    name: str = ""


@dataclass(frozen=True)
class HiresPass:
    """A second pass over the enlarged picture.

    Attributes:
        scale: how much longer the sides become, above 1.
        steps: of the second pass, all of which are taken; 0 = as many as in the first.
        strength: the noise that is added, as of `SourcePicture`.
        upscaler: "latent", "lanczos" or the name of an upscaling model.
        upscaler_hash: SHA-256 of the upscaling model's file in hex, or "".
    """

    scale: float = 2.0
    steps: int = 0
    strength: float = 0.7
    upscaler: str = "latent"
    upscaler_hash: str = ""


@dataclass(frozen=True)
class Recipe:
    """What one picture is drawn from.

    Attributes:
        prompt: without LoRA tags.
        sampler: WebUI name.
        seed: of the picture's own noise.
        clip_skip: counted as the WebUI does, 1 = last layer.
        base: the base model as the person named it.
        source: the picture that it starts from; None = noise alone.
        hires: the second pass at a larger size; None = none. Width and height are those of the first.
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
    source: SourcePicture | None = None
    hires: HiresPass | None = None


@dataclass(frozen=True)
class Made:
    """What a picture's pixels depend on beside its recipe, much or by rounding, and what they came out as.

    Attributes:
        base: model part -> hash of its fingerprint: "unet", the text encoders and "vae".
        vae: the autoencoder that was chosen instead of the base's own, as the person named it, or "".
        is_tiled: it was decoded in tiles.
        prediction_type: what the denoiser was taken to predict.
        zero_terminal_snr: whether the noise schedule was taken to end in pure noise.
        precision: of the denoiser's weights: "no", "fp16" or "bf16".
        device: such as "cpu", or "cuda" with the name of the GPU.
        batch_size: pictures that were drawn together: sums are taken in another order in batches of other sizes.
        batch_place: its place among them, from 0.
        is_folded: the LoRAs were added to the weights.
        versions: package -> version.
        pixels: hash of the picture, see `pixels.pixel_hash`.
        upscaler_tile_px: side of the tiles in which an upscaling model enlarged between two passes; 0 = none did.
    """

    base: Mapping[str, str]
    vae: str
    is_tiled: bool
    prediction_type: str
    zero_terminal_snr: bool
    precision: str
    device: str
    batch_size: int
    batch_place: int
    is_folded: bool
    versions: Mapping[str, str]
    pixels: str
    upscaler_tile_px: int = 0


@dataclass(frozen=True)
class Picture:
    """A drawn picture.

    Attributes:
        image: RGB.
        recipe: what it was drawn from.
        moments: the reverse process that led to it, from noise to picture, where that was asked for.
        made: with what it was drawn; None = not known.
    """

    image: Image.Image
    recipe: Recipe
    moments: tuple[Moment, ...] = ()
    made: Made | None = None


@dataclass(frozen=True)
class Moment:
    """The picture in the making, after `step` denoising steps; 0 = the noise it starts from."""

    step: int
    image: Image.Image


def plain_number(value: float) -> str:
    """A number as a person writes it: 7, not 7.0; exact otherwise."""
    return str(int(value)) if value == int(value) else repr(value)

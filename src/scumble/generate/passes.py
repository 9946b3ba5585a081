"""From recipes to latents: in one pass or two, from noise alone or over pictures.

Shapes: B pictures, C latent channels, H W latent height and width.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from PIL import Image
from torch import Tensor, nn

from scumble.errors import ConfigError, nearest
from scumble.families.base import Autoencoder, BaseModel, TextState
from scumble.generate.denoise import Start, Watch, schedule_of_strength, steps_of_strength
from scumble.generate.draw import Settings, decode_images, draw_latents, encode_images
from scumble.generate.enlarger import Enlarger
from scumble.generate.hires import LANCZOS, LATENT, by_lanczos, enlarged_latents, hires_size
from scumble.generate.recipe import HiresPass, Recipe, SourcePicture


@dataclass
class Passes:
    """What passes are drawn with.

    Attributes:
        base: the opened base.
        denoiser: its denoiser, with the adapters in use.
        autoencoder: encodes pictures to start from, and decodes what a model enlarges.
        images: pictures to start from, by the hash of their pixels.
        upscalers: models that enlarge between two passes, by name.
    """

    base: BaseModel
    denoiser: nn.Module
    autoencoder: Autoencoder
    images: dict[str, Image.Image] = field(default_factory=dict)
    upscalers: dict[str, Enlarger] = field(default_factory=dict)

    def draw(
        self,
        recipes: Sequence[Recipe],
        positive: Sequence[TextState],
        negative: Sequence[TextState],
        watch: Watch | None = None,
    ) -> Tensor:
        """The latents of B recipes that differ in prompts, seed and picture to start from only: [B, C, H, W].

        A second pass draws its noise anew from the same seeds, at its own size, as the WebUI does.

        Args:
            recipes: B of them.
            positive: B text states.
            negative: B text states.
            watch: sees the first pass.
        Raises:
            ConfigError: a recipe that cannot be drawn, or names a picture or upscaler that is not within reach.
        """
        first, seeds = recipes[0], [recipe.seed for recipe in recipes]
        settings = Settings(first.width, first.height, first.steps, first.guidance_scale, first.sampler)
        start = self._start(recipes)
        latents = draw_latents(self.base, self.denoiser, positive, negative, seeds, settings, watch=watch, start=start)
        if first.hires is None:
            return latents
        settings, start = self._second(latents, settings, first.hires)
        return draw_latents(self.base, self.denoiser, positive, negative, seeds, settings, start=start)

    def _start(self, recipes: Sequence[Recipe]) -> Start | None:
        """The pictures that recipes start from; None = from noise alone."""
        first, sources = recipes[0], [recipe.source for recipe in recipes if recipe.source is not None]
        if not sources:
            return None
        images = {source.hash: self._image(source) for source in sources}
        latents = encode_images(self.autoencoder, list(images.values()), (first.width, first.height), self._device)
        of_hash = dict(zip(images, latents, strict=True))
        return Start(torch.stack([of_hash[source.hash] for source in sources]), first.steps - steps_taken(first))

    def _image(self, source: SourcePicture) -> Image.Image:
        if source.hash not in self.images:
            raise ConfigError(
                f"the picture to start from, {source.name or 'of hash'} {source.hash[:12]}, is not within reach: add it first"
            )
        return self.images[source.hash]

    def _second(self, latents: Tensor, settings: Settings, hires: HiresPass) -> tuple[Settings, Start]:
        """How a second pass draws over the enlarged pictures of a first one."""
        width, height = hires_size(self.base, (settings.width, settings.height), hires.scale)
        steps = hires.steps or settings.steps
        whole = schedule_of_strength(steps, hires.strength)
        start = Start(self._enlarged(latents, hires.upscaler, (width, height)), whole - steps)
        return replace(settings, width=width, height=height, steps=whole), start

    def _enlarged(self, latents: Tensor, upscaler: str, size_px: tuple[int, int]) -> Tensor:
        if upscaler == LATENT:
            width, height = (side // self.base.pixels_per_latent for side in size_px)
            return enlarged_latents(latents, (width, height))
        enlarge = by_lanczos if upscaler == LANCZOS else self._upscaler(upscaler)
        images = [enlarge(image, size_px) for image in decode_images(self.autoencoder, latents)]
        return encode_images(self.autoencoder, images, size_px, self._device)

    def tile_px(self, recipe: Recipe) -> int:
        """Side of the tiles that an upscaling model took for a recipe; 0 = none was at work."""
        name = "" if recipe.hires is None else recipe.hires.upscaler
        return self.upscalers[name].tile_px if name in self.upscalers else 0

    def _upscaler(self, name: str) -> Enlarger:
        if name not in self.upscalers:
            raise ConfigError(f"upscaler '{name}' is not loaded{nearest(name, [LATENT, LANCZOS, *self.upscalers])}")
        return self.upscalers[name]

    @property
    def _device(self) -> torch.device:
        return next(self.denoiser.parameters()).device


def steps_taken(recipe: Recipe) -> int:
    """Denoising steps of the first pass that are really taken: all of them, or those that img2img leaves."""
    return recipe.steps if recipe.source is None else steps_of_strength(recipe.steps, recipe.source.strength)

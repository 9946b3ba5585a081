"""Pictures that are drawn once, however many numbers are made of them."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from PIL import Image

from scumble.adapters.weight import weight_of
from scumble.files.fingerprint import fingerprint
from scumble.generate.painter import Painter
from scumble.generate.recipe import Recipe
from scumble.train.events import Prepared

HASH_SIGNS = 10
"""Of a hash as many as the WebUI shows."""


@dataclass(frozen=True)
class Album:
    """The pictures of a painter, kept by their recipes.

    One album serves many LoRAs of one base: the base's own pictures are then drawn once for all of them. A LoRA is known
    by its hash, so the painter may have another of the same name the next time.

    Attributes:
        painter: draws what is not there yet.
        batch_size: pictures per pass of the denoiser, >= 1.
    """

    painter: Painter
    batch_size: int = 4
    _kept: dict[Recipe, Image.Image] = field(default_factory=dict)

    @cached_property
    def base_said(self) -> str:
        """The base's name, and a hash of some of the weights that LoRAs change, in the precision in which it draws."""
        base, denoiser = self.painter.base, self.painter.denoiser
        places = {path: base.module_path("unet", path, denoiser) for path in base.layer_paths()["unet"]}
        weights = {path: weight_of(denoiser.get_submodule(place)) for path, place in places.items()}
        return f"{base.name} ({hashlib.sha256(fingerprint(weights).encode()).hexdigest()[:HASH_SIGNS]})"

    def draw(self, recipes: Sequence[Recipe]) -> Iterator[Prepared]:
        """Draw what is not there yet; every LoRA in a recipe has its hash.

        Raises:
            ConfigError: a recipe that cannot be drawn, such as one with an unknown sampler.
        """
        assert all(lora.hash for recipe in recipes for lora in recipe.loras), "a LoRA is known by its hash"
        missing = [recipe for recipe in dict.fromkeys(recipes) if recipe not in self._kept]
        for start in range(0, len(missing), self.batch_size):
            part = missing[start : start + self.batch_size]
            for picture in self.painter.paint(part, self.batch_size):
                self._kept[picture.recipe] = picture.image
            yield Prepared("pictures", start + len(part), len(missing))

    def of(self, recipes: Sequence[Recipe]) -> list[Image.Image]:
        """The picture of each recipe, RGB; they were drawn before."""
        return [self._kept[recipe] for recipe in recipes]

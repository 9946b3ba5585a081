"""What a measured number is, and what it is measured on."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

from PIL import Image
from torch import Tensor

from scumble.data.pictures import fit, read_picture
from scumble.data.scan import Example
from scumble.errors import MetricError
from scumble.families.base import pixels_to_image
from scumble.generate.events import Noted
from scumble.generate.recipe import LoraUse, Recipe
from scumble.metrics.album import Album
from scumble.metrics.eyes import Eyes
from scumble.train.cuts import Cut
from scumble.train.events import Prepared

Better = Literal["lower", "higher"]


@dataclass(frozen=True)
class Measured:
    """A number, and where it comes from.

    Attributes:
        name: of the number; several may come of one metric.
        value: with the LoRA.
        better: which way is better; None = neither is, it depends on what is wanted.
        computed_from: a sentence: the pictures, seeds, prompts and files that it was made of.
        spread: standard error of `value`; None = not known.
        of_base: the same of the base alone; None = it has none.
    """

    name: str
    value: float
    better: Better | None
    computed_from: str
    spread: float | None = None
    of_base: float | None = None


Event = Noted | Prepared | Measured
"""What measuring says while it goes on."""


@dataclass(frozen=True)
class Training:
    """The pictures that a LoRA learnt from, and those that its loss is measured on.

    Attributes:
        examples: what was trained on.
        held_out: what the loss is measured on, each with the size that it is cut to.
        said: what `held_out` is, for people: "3 held-out pictures of photos".
        seed: of the loss's noise: the run's, so that the loss is the run's own.
        num_chunks: chunks of each caption's text state.
        clip_skip: of the captions, as the WebUI counts, 1 = last layer.
        is_mirrored: whether pictures were seen mirrored too.
    """

    examples: tuple[Example, ...]
    held_out: tuple[Cut, ...]
    said: str
    seed: int = 0
    num_chunks: int = 1
    clip_skip: int = 1
    is_mirrored: bool = False


@dataclass(frozen=True)
class Subject:
    """LoRAs on a base, and what is looked at to measure them.

    Attributes:
        album: draws the pictures; its painter has the LoRAs within reach.
        loras: what is measured, with strengths and hashes; () = the base alone.
        recipe: how pictures are drawn; its prompt, seed and LoRAs are not looked at.
        prompts: what the LoRAs are for.
        other_prompts: what they shall leave as it is: without the trigger.
        seeds: each prompt is drawn with each.
        training: what they learnt from; None = not known.
        eyes: what looks at the pictures; None = their pixels alone are compared.
        run: folder of the run that made the LoRA; None = not known.
    """

    album: Album
    loras: tuple[LoraUse, ...]
    recipe: Recipe
    prompts: tuple[str, ...]
    other_prompts: tuple[str, ...]
    seeds: tuple[int, ...]
    training: Training | None = None
    eyes: Eyes | None = None
    run: Path | None = None

    @cached_property
    def base_pictures(self) -> list[Image.Image]:
        """The prompts, as the base alone drew them."""
        return self._drawn(self.prompts, ())

    @cached_property
    def lora_pictures(self) -> list[Image.Image]:
        """The prompts as they were drawn with the LoRAs, from the same noise; prompt by prompt, each with every seed."""
        return self._drawn(self.prompts, self.loras)

    @cached_property
    def other_base_pictures(self) -> list[Image.Image]:
        """The other prompts, as the base alone drew them."""
        return self._drawn(self.other_prompts, ())

    @cached_property
    def other_lora_pictures(self) -> list[Image.Image]:
        """The other prompts as they were drawn with the LoRAs, from the same noise."""
        return self._drawn(self.other_prompts, self.loras)

    @cached_property
    def trained_pictures(self) -> list[Image.Image]:
        """The training pictures, their middles in the size of the drawn ones.

        Raises:
            MetricError: they are not known.
            DataError: one cannot be read any more.
        """
        size = (self.recipe.width, self.recipe.height)
        return [
            pixels_to_image(fit(read_picture(example.path, example.rule), size))
            for example in self.known_training.examples
        ]

    @cached_property
    def base_features(self) -> Tensor:
        """What the eyes see in the base's pictures, [N, D].

        Raises:
            MetricError: there are no eyes.
        """
        return self.known_eyes.see(self.base_pictures)

    @cached_property
    def lora_features(self) -> Tensor:
        """What the eyes see in the LoRAs' pictures, [N, D].

        Raises:
            MetricError: there are no eyes.
        """
        return self.known_eyes.see(self.lora_pictures)

    @cached_property
    def trained_features(self) -> Tensor:
        """What the eyes see in the training pictures, [M, D].

        Raises:
            MetricError: there are no eyes, or no training pictures are known.
        """
        return self.known_eyes.see(self.trained_pictures)

    @property
    def known_training(self) -> Training:
        """What the LoRAs learnt from.

        Raises:
            MetricError: it is not known.
        """
        if self.training is None:
            raise MetricError("no training pictures are known: --data FOLDER names them")
        return self.training

    @property
    def known_eyes(self) -> Eyes:
        """What looks at the pictures.

        Raises:
            MetricError: there is nothing that does.
        """
        if self.eyes is None:
            raise MetricError(
                "no network that looks at pictures is at hand: --clip FOLDER names a CLIP model; on a machine with internet "
                "'hf download openai/clip-vit-base-patch32' fetches one"
            )
        return self.eyes

    def draw(self, prompts: Sequence[str]) -> Iterator[Prepared]:
        """Draw these prompts with every seed, by the base alone and with the LoRAs, what of it is not there yet.

        Raises:
            MetricError: there is no prompt.
        """
        if not prompts:
            raise MetricError('there is no prompt to draw: --prompt "..." gives one')
        yield from self.album.draw([*self._recipes(prompts, ()), *self._recipes(prompts, self.loras)])

    def _drawn(self, prompts: Sequence[str], loras: tuple[LoraUse, ...]) -> list[Image.Image]:
        return self.album.of(self._recipes(prompts, loras))

    def _recipes(self, prompts: Sequence[str], loras: tuple[LoraUse, ...]) -> list[Recipe]:
        return [
            replace(self.recipe, prompt=prompt, seed=seed, loras=loras) for prompt in prompts for seed in self.seeds
        ]

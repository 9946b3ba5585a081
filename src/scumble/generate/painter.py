"""A painter: a loaded base with LoRAs within reach, which draws recipe after recipe without loading anything again."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import groupby
from typing import Self

import torch
from PIL import Image
from torch import Tensor, nn

from scumble.adapters.inject import detach, fold, set_strength, unfold
from scumble.errors import ConfigError, nearest
from scumble.families.apply import attach_lora
from scumble.families.base import Autoencoder, BaseModel, TextEncoder, TextState, check_clip_skip
from scumble.files.lorafile import LoraFile
from scumble.generate.blocks import block_factors, parse_blocks
from scumble.generate.draw import decode_images
from scumble.generate.enlarger import Enlarger
from scumble.generate.made import Batch, Setting, made_of, setting_of
from scumble.generate.passes import Passes, steps_taken
from scumble.generate.pixels import pixel_hash
from scumble.generate.recipe import LoraUse, Moment, Picture, Recipe
from scumble.generate.weighted import count_chunks, prompt_states


@dataclass
class Painter:
    """The loaded parts of a base model and the LoRAs attached to them.

    Adapters that are on the parts already stay in effect.

    Attributes:
        base: the opened base.
        denoiser: its denoiser; device and dtype of the drawing are its own.
        text_encoder: makes the text states.
        autoencoder: makes pictures of latents.
    """

    base: BaseModel
    denoiser: nn.Module
    text_encoder: TextEncoder
    autoencoder: Autoencoder
    _loras: list[str] = field(default_factory=list, init=False)
    _passes: Passes = field(init=False)
    _in_use: tuple[tuple[LoraUse, ...], bool] | None = field(default=None, init=False)
    _layers: dict[str, dict[str, list[str]]] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self._passes = Passes(self.base, self.denoiser, self.autoencoder)

    @classmethod
    def load(cls, base: BaseModel, device: torch.device, dtype: torch.dtype) -> Self:
        """Load all parts of a base; the denoiser in `dtype`, the others in float32."""
        return cls(
            base,
            base.load_denoiser(dtype, device),
            base.load_text_encoder(device),
            base.load_autoencoder(device),
        )

    @cached_property
    def setting(self) -> Setting:
        """What its pictures are drawn with."""
        self._unfold()
        return setting_of({**self.modules, "vae": self.autoencoder.model})

    @property
    def lora_names(self) -> Sequence[str]:
        """The LoRAs that recipes may name."""
        return tuple(self._loras)

    @property
    def modules(self) -> Mapping[str, nn.Module]:
        """Model part -> loaded module: what LoRAs change."""
        return {"unet": self.denoiser, **self.text_encoder.modules}

    def add_lora(self, name: str, lora: LoraFile) -> None:
        """Put a LoRA within reach; it changes nothing until a recipe names it.

        Raises:
            LoraFileError: it does not fit the base; nothing was changed then.
        """
        assert name not in self._loras, f"there is a LoRA named {name} already"
        self._unfold()
        self.text_encoder.words.add(name, lora.embeddings)
        attach_lora(self.base, self.modules, lora, name, strength=0.0)
        self._loras.append(name)
        self._layers[name] = {part: list(lora.part(part)) for part in self.modules}

    def add_image(self, image: Image.Image) -> str:
        """Put an RGB picture within reach, for recipes to start from; its hash is what they name it by."""
        name = pixel_hash(image)
        self._passes.images[name] = image
        return name

    def forget_image(self, name: str) -> None:
        """Take a picture off that was put within reach, by its hash."""
        del self._passes.images[name]

    def add_upscaler(self, name: str, enlarger: Enlarger) -> None:
        """Put a model that enlarges between two passes within reach, under the name that recipes give it."""
        self._passes.upscalers[name] = enlarger

    def remove_lora(self, name: str) -> None:
        """Take a LoRA off; the base is again what it was without it, to the bit."""
        self._loras.remove(name)
        del self._layers[name]
        self.text_encoder.words.remove(name)
        self._unfold()
        for module in self.modules.values():
            detach(module, name)

    def use_loras(self, loras: Sequence[LoraUse], folded: bool = False) -> None:
        """Set the strength of every LoRA within reach: those not given get none. A LoRA's words know no strength.

        Args:
            loras: names and weights.
            folded: add the changes to the weights, so that drawing costs nothing extra; equal to rounding.
        Raises:
            ConfigError: a name that is not within reach, block weights that leave out blocks that the LoRA changes, or
                two LoRAs that bring the same word.
        """
        if self._in_use == (tuple(loras), folded):
            return
        used = {lora.name: lora for lora in loras}
        for name in used:
            if name not in self._loras:
                raise ConfigError(f"LoRA '{name}' is not loaded{nearest(name, self._loras)}")
        self.text_encoder.words.use(used)
        self._unfold()
        factors = {lora.name: self._block_factors(lora) for lora in loras if lora.blocks}
        for part, module in self.modules.items():
            for name in self._loras:
                strength = used[name].strength_in(part) if name in used else 0.0
                set_strength(module, name, strength, factors.get(name, {}).get(part))
            if folded:
                fold(module)
        self._in_use = tuple(loras), folded

    def _block_factors(self, lora: LoraUse) -> dict[str, dict[str, float]]:
        """Model part -> path in the module -> factor on the LoRA's strength there."""
        keys = {
            f"{part}.{canonical}": (part, self.base.module_path(part, canonical, self.modules[part]))
            for part, paths in self._layers[lora.name].items()
            for canonical in paths
        }
        found: dict[str, dict[str, float]] = {}
        for key, factor in block_factors(keys, parse_blocks(lora.blocks), lora.name).items():
            part, path = keys[key]
            found.setdefault(part, {})[path] = factor
        return found

    def paint(
        self, recipes: Sequence[Recipe], batch_size: int = 1, num_moments: int = 0, folded: bool = False
    ) -> list[Picture]:
        """Draw every recipe: the pictures of `painted`, in a list."""
        return list(self.painted(recipes, batch_size, num_moments, folded))

    def painted(
        self, recipes: Sequence[Recipe], batch_size: int = 1, num_moments: int = 0, folded: bool = False
    ) -> Iterator[Picture]:
        """Draw recipe after recipe; neighbours that differ in prompts, seed and picture to start from only, together.

        A picture depends on its own recipe alone: only prompts of equally many chunks are drawn together.

        Args:
            recipes: what to draw; the base named in them is not looked at.
            batch_size: pictures per pass of the denoiser, >= 1.
            num_moments: also keep this many moments of the reverse process, from noise to picture; 0 or >= 2.
            folded: draw with the LoRAs added to the weights.
        Raises:
            ConfigError: a recipe that cannot be drawn, such as an unknown sampler or LoRA.
        """
        for (num_chunks, _), group in groupby(recipes, key=self._what_a_batch_shares):
            alike = list(group)
            for start in range(0, len(alike), batch_size):
                batch = alike[start : start + batch_size]
                setting = self.setting
                self.use_loras(batch[0].loras, folded)
                for place, picture in enumerate(self._paint_batch(batch, num_chunks, num_moments)):
                    drawn = Batch(len(batch), folded, self._passes.tile_px(batch[0]))
                    made = made_of(self.base, setting, drawn, place, picture.image)
                    yield replace(picture, made=made)

    def text_states(self, prompts: Sequence[str], clip_skip: int = 1, num_chunks: int | None = None) -> list[TextState]:
        """Text states of prompts under the LoRAs in use, all of one shape; equal prompts are encoded once.

        Args:
            prompts: with weights on their words.
            clip_skip: as the WebUI counts, 1 = the last layer.
            num_chunks: chunks of every state; None = as many as the longest prompt needs.
        Raises:
            ConfigError: clip_skip goes beyond the text encoder's first layer, or a weight is no number.
        """
        check_clip_skip(self.base, clip_skip)
        unique = list(dict.fromkeys(prompts))
        with torch.no_grad():
            states = dict(zip(unique, prompt_states(self.text_encoder, unique, clip_skip, num_chunks), strict=True))
        return [states[prompt] for prompt in prompts]

    def negative_states(
        self, prompts: Sequence[str], clip_skip: int = 1, num_chunks: int | None = None
    ) -> list[TextState]:
        """What guidance steers away from: the state of each negative prompt, or what the base takes where it is empty.

        Raises:
            ConfigError: clip_skip goes beyond the text encoder's first layer, or a weight is no number.
        """
        states = self.text_states(prompts, clip_skip, num_chunks)
        pairs = zip(prompts, states, strict=True)
        return [state if prompt else self.base.without_prompt(state) for prompt, state in pairs]

    def _what_a_batch_shares(self, recipe: Recipe) -> tuple[int, Recipe]:
        """Chunks of its prompts, and the rest."""
        loras = tuple(replace(lora, hash="") for lora in recipe.loras)
        source = recipe.source and replace(recipe.source, hash="", name="")
        rest = replace(recipe, prompt="", negative_prompt="", seed=0, base="", loras=loras, source=source)
        with self.text_encoder.words.only(lora.name for lora in recipe.loras):
            return count_chunks(self.text_encoder, [recipe.prompt, recipe.negative_prompt]), rest

    def _paint_batch(self, recipes: Sequence[Recipe], num_chunks: int, num_moments: int) -> Iterator[Picture]:
        first = recipes[0]
        wanted = moment_steps(steps_taken(first), num_moments)
        seen: dict[int, Tensor] = {}

        def watch(step: int, latents: Tensor) -> None:
            if step in wanted:
                seen[step] = latents.cpu()

        latents = self._passes.draw(
            recipes,
            self.text_states([recipe.prompt for recipe in recipes], first.clip_skip, num_chunks),
            self.negative_states([recipe.negative_prompt for recipe in recipes], first.clip_skip, num_chunks),
            watch if wanted else None,
        )
        images = decode_images(self.autoencoder, latents)
        for index, (recipe, image) in enumerate(zip(recipes, images, strict=True)):
            yield Picture(image, recipe, tuple(self._moments({step: seen[step][index] for step in wanted}, image)))

    def _moments(self, latents: Mapping[int, Tensor], last: Image.Image) -> Iterator[Moment]:
        device = next(self.denoiser.parameters()).device
        for step, one in latents.items():
            image = last if step == max(latents) else decode_images(self.autoencoder, one[None].to(device))[0]
            yield Moment(step, image)

    def _unfold(self) -> None:
        self._in_use = None
        for module in self.modules.values():
            unfold(module)


def moment_steps(steps: int, num_moments: int) -> list[int]:
    """Numbers of finished steps, evenly spaced from 0 = noise to `steps` = picture.

    Raises:
        ConfigError: there are fewer states than moments.
    """
    if num_moments == 0:
        return []
    if num_moments < 2 or num_moments > steps + 1:
        raise ConfigError(
            f"{num_moments} moments of {steps} steps: between 2 and {steps + 1} can be shown; "
            f"take {max(num_moments - 1, 1)} steps or more for so many"
        )
    return [round(index * steps / (num_moments - 1)) for index in range(num_moments)]

"""Drawing the cells: one base after the other, LoRAs put on when they are first needed and off when they are no more."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from time import monotonic

import torch

from scumble.compare.bases import OnBase
from scumble.compare.events import Drawn
from scumble.compare.kin import Kin, kin_of
from scumble.device import memory_advice
from scumble.errors import LoraFileError, ScumbleError
from scumble.generate.events import Noted
from scumble.generate.loras import stranger_note
from scumble.generate.painter import Painter
from scumble.generate.prepare import OUT_OF_MEMORY_ADVICE
from scumble.generate.recipe import Recipe


@dataclass
class Clock:
    """How long the rest will take, measured on what was drawn so far.

    Attributes:
        total: pictures in all.
        work: of those not yet drawn, see `work_of`.
    """

    total: int
    work: float
    done: int = 0
    _worked: float = field(default=0.0, init=False)
    _seconds: float = field(default=0.0, init=False)

    def drew(self, recipe: Recipe, seconds: float) -> None:
        """Count a picture; 0 seconds = there is none."""
        self.done += 1
        self.work -= work_of(recipe)
        self._worked += work_of(recipe) if seconds else 0.0
        self._seconds += seconds

    @property
    def seconds_left(self) -> float:
        """As fast as so far."""
        return max(0.0, self.work) * self._seconds / self._worked if self._worked else 0.0


def work_of(recipe: Recipe) -> float:
    """What a picture costs beside others: passes of the denoiser times pixels."""
    passes = 1 if recipe.guidance_scale == 1.0 else 2
    return float(recipe.steps * passes * recipe.width * recipe.height)


@dataclass(frozen=True)
class Studio:
    """Where pictures are drawn.

    Attributes:
        device, dtype: where and in what the denoiser computes.
        clock: counts the pictures.
        has_one_base: a LoRA that does not fit it fits nowhere.
    """

    device: torch.device
    dtype: torch.dtype
    clock: Clock
    has_one_base: bool


def paint_on(on_base: OnBase, recipes: Sequence[Recipe], studio: Studio) -> Iterator[Noted | Kin | Drawn]:
    """Load a base and draw recipes with it; one that cannot be drawn does not keep the others from it.

    Args:
        on_base: the base and its LoRAs.
        recipes: each once.
        studio: where.
    Yields:
        How the base is related to those of the LoRAs, then each picture, or why there is none.
    Raises:
        LoraFileError: a LoRA does not fit the only base.
        BaseModelError: a part of the base cannot be loaded.
        OutOfMemoryError: the base alone does not fit the device.
    """
    with memory_advice(OUT_OF_MEMORY_ADVICE):
        painter = Painter.load(on_base.base, studio.device, studio.dtype)
    refused = _refused(painter, on_base)
    if refused and studio.has_one_base:
        raise next(iter(refused.values()))
    for lora in on_base.loras.values():
        note = stranger_note(lora, on_base.base, painter.denoiser)
        if note is not None:
            yield note
        yield kin_of(lora, on_base.base, painter.denoiser)
    ordered = grouped(recipes)
    last = {name: index for index, recipe in enumerate(ordered) for name in names_in(recipe)}
    for index, recipe in enumerate(ordered):
        reason = "; ".join(f"{name}: {refused[name]}" for name in names_in(recipe) if name in refused)
        if not reason:
            for name in names_in(recipe):
                if name not in painter.lora_names:
                    painter.add_lora(name, on_base.loras[name].file)
        yield _drawn(painter, recipe, studio.clock, reason)
        for name in names_in(recipe):
            if last[name] == index and name in painter.lora_names:
                painter.remove_lora(name)


def _refused(painter: Painter, on_base: OnBase) -> dict[str, LoraFileError]:
    """The LoRAs whose numbers do not fit the base, and why: each is tried once and taken off again."""
    refused = {}
    for name, lora in on_base.loras.items():
        try:
            painter.add_lora(name, lora.file)
        except LoraFileError as error:
            refused[name] = error
        else:
            painter.remove_lora(name)
    return refused


def _drawn(painter: Painter, recipe: Recipe, clock: Clock, reason: str) -> Drawn:
    """A picture; with a reason against it, only that."""
    started, image = monotonic(), None
    if not reason:
        try:
            with memory_advice(OUT_OF_MEMORY_ADVICE):
                image = painter.paint([recipe])[0].image
        except ScumbleError as error:  # of this cell alone: numbers that are not finite, a size too large
            reason = str(error)
    clock.drew(recipe, monotonic() - started if image else 0.0)
    return Drawn(recipe, image, reason, clock.done, clock.total, clock.seconds_left)


def names_in(recipe: Recipe) -> Iterator[str]:
    """The LoRAs of a recipe."""
    return (lora.name for lora in recipe.loras)


def grouped(recipes: Iterable[Recipe]) -> list[Recipe]:
    """Recipes with the same LoRAs next to each other, so that each LoRA is put on once; otherwise in their order."""
    return sorted(recipes, key=lambda recipe: tuple(names_in(recipe)))

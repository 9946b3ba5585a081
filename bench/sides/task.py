"""What every side trains: one base, one batch, one adapter a layer."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Self

import torch
from torch import Tensor, nn

from scumble.adapters.base import Adapter
from scumble.adapters.build import new_adapter
from scumble.adapters.recipe import AdapterRecipe
from scumble.adapters.targets import find_targets
from scumble.device import take_device
from scumble.families.base import BaseModel
from scumble.families.find import open_base
from scumble.train.batches import Batch
from scumble.train.objective import Objective, objective_of

RANK, ALPHA = 16, 8.0
RATE, CLIP = 1e-4, 1.0
TOKENS = 77
RECIPES = {
    "lora": AdapterRecipe("lora", RANK, ALPHA),
    "loha": AdapterRecipe("loha", RANK, ALPHA),
    "lokr": AdapterRecipe("lokr", RANK, ALPHA, factor=8),
    "dora output": AdapterRecipe("lora", RANK, ALPHA, dora="output"),
    "dora input": AdapterRecipe("lora", RANK, ALPHA, dora="input"),
}
"""Algorithm -> how its adapters are made."""


@dataclass(frozen=True)
class Task:
    """One training step, whoever makes it.

    Attributes:
        base: the base model.
        denoiser: its UNet, frozen; the sides have copies that share its tensors.
        batch: what is shown.
        objective: what is minimised.
        targets: which layers are adapted.
        recipe: of the adapters.
        is_checkpointed: recompute the blocks in the backward pass.
    """

    base: BaseModel
    denoiser: nn.Module
    batch: Batch
    objective: Objective
    targets: Sequence[str] = ("attention",)
    recipe: AdapterRecipe = RECIPES["lora"]
    is_checkpointed: bool = False

    @property
    def dtype(self) -> torch.dtype:
        """Of the frozen weights."""
        return next(self.denoiser.parameters()).dtype

    @cached_property
    def paths(self) -> list[str]:
        """Dotted paths of the adapted layers."""
        return find_targets(self.denoiser, self.targets)

    @cached_property
    def noisy(self) -> Tensor:
        """What the denoiser is shown, [B, C, H, W], in its dtype."""
        batch = self.batch
        return self.objective.noisy(batch.latents, batch.noise, batch.timesteps).to(self.dtype)

    def own_denoiser(self) -> nn.Module:
        """A copy of the denoiser that shares its tensors."""
        tensors = [*self.denoiser.parameters(), *self.denoiser.buffers()]
        own: nn.Module = copy.deepcopy(self.denoiser, {id(tensor): tensor for tensor in tensors})
        if self.is_checkpointed:
            own.enable_gradient_checkpointing()
        return own

    def adapters(self) -> dict[str, Adapter]:
        """Path -> a new adapter of ours, whose numbers the peers get too; none of them is zero."""
        source = torch.Generator().manual_seed(1)
        made = {path: new_adapter(self.denoiser.get_submodule(path), self.recipe, source) for path in self.paths}
        with torch.no_grad():
            for adapter in made.values():
                for parameter in adapter.parameters():
                    if not parameter.any():
                        parameter.copy_(0.02 * torch.randn(parameter.shape, generator=source))
        return made

    @cached_property
    def numbers(self) -> Mapping[str, Mapping[str, Tensor]]:
        """Path -> name -> what every side's adapter of that layer holds at first; the names are ours."""
        return {path: dict(adapter.tensors()) for path, adapter in self.adapters().items()}

    def with_recipe(self, name: str) -> Self:
        """The same with another algorithm."""
        return replace(self, recipe=RECIPES[name])


def open_task(folder: Path | str, dtype: torch.dtype, side_px: int, batch_size: int) -> Task:
    """A task on a base model's folder, or on "mini", on the CPU as training has it.

    Args:
        folder: the base.
        dtype: of its frozen weights.
        side_px: of the square pictures.
        batch_size: pictures.
    """
    base = open_base(str(folder))
    denoiser = base.load_denoiser(dtype, take_device("cpu")).requires_grad_(False)
    return Task(base, denoiser, batch_of(base, side_px, batch_size), objective_for(base))


def objective_for(base: BaseModel) -> Objective:
    """The mean squared error of what the base predicts."""
    from scumble.config.objective import ObjectiveConfig

    return objective_of(ObjectiveConfig(), base.prediction_type, base.noise_schedule())


def batch_of(base: BaseModel, side_px: int, batch_size: int) -> Batch:
    """Noise for latents, noise, random timesteps and text states; from one seed."""
    source = torch.Generator().manual_seed(0)
    side = side_px // base.pixels_per_latent
    shape = (batch_size, base.latent_channels, side, side)
    latents, noise = (torch.randn(shape, generator=source) for _ in range(2))
    timesteps = torch.randint(0, 1000, (batch_size,), generator=source)
    text = {name: torch.randn(batch_size, *size, generator=source) for name, size in base.text_shapes().items()}
    return Batch(latents, noise, timesteps, text, torch.ones(batch_size), ("",) * batch_size)

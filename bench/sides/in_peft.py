"""PEFT, as diffusers' own training script puts it on."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from scumble.adapters.recipe import AdapterRecipe

from .side import Side, peer_side
from .task import Task

NAME = "PEFT"
NAMES = {
    "lora": {
        "down": "lora_A.default.weight",
        "up": "lora_B.default.weight",
        "magnitude": "lora_magnitude_vector.default.weight",
    },
    "loha": {key: f"hada_{key}.default" for key in ("w1_a", "w1_b", "w2_a", "w2_b")},
    "lokr": {key: f"lokr_{key}.default" for key in ("w1", "w1_a", "w1_b", "w2", "w2_a", "w2_b")},
}
"""Algorithm -> our name of a parameter -> PEFT's."""


def by_peft(task: Task) -> Side | None:
    """`unet.add_adapter` with the config of the task's algorithm; None where PEFT has none."""
    from diffusers.training_utils import cast_training_params

    recipe = task.recipe
    alpha = recipe.alpha
    if recipe.algorithm == "lokr" and not any("w2_a" in numbers for numbers in task.numbers.values()):
        alpha = float(recipe.rank)  # scumble and LyCORIS scale by 1 where no factor is split, PEFT by alpha / rank
    config = config_of(recipe, task.paths, alpha)
    if config is None:
        return None
    denoiser = task.own_denoiser()
    denoiser.add_adapter(config)
    cast_training_params(denoiser, torch.float32)
    names = NAMES[recipe.algorithm]
    parameters = {
        path: {key: _at(denoiser.get_submodule(path), names[key]) for key in task.numbers[path]} for path in task.paths
    }
    return peer_side(NAME, task, denoiser, parameters, is_autocast=True)


def config_of(recipe: AdapterRecipe, targets: Sequence[str], alpha: float) -> Any:
    """PEFT's config of a recipe; None where PEFT has no such algorithm."""
    import peft

    shared = {"r": recipe.rank, "target_modules": list(targets)}
    if recipe.algorithm == "lora" and recipe.dora != "input":
        return peft.LoraConfig(lora_alpha=alpha, use_dora=recipe.dora is not None, **shared)
    if recipe.algorithm == "loha":
        return peft.LoHaConfig(alpha=alpha, use_effective_conv2d=False, **shared)
    if recipe.algorithm == "lokr":
        return peft.LoKrConfig(alpha=alpha, decompose_factor=recipe.factor, **shared)
    return None


def _at(layer: nn.Module, name: str) -> nn.Parameter:
    owner, _, last = name.rpartition(".")
    found: nn.Parameter = getattr(layer.get_submodule(owner), last)
    return found

"""sd-scripts: the LoRA module of networks/lora.py, from a checkout."""

import sys
from pathlib import Path

from torch import nn

from .side import Side, peer_side
from .task import Task

NAME = "sd-scripts"
PROOF = "networks/lora.py"


def by_sd_scripts(task: Task, checkout: Path) -> Side | None:
    """Its LoRAModule on every layer, under autocast as its script runs it; None of another algorithm."""
    recipe = task.recipe
    if recipe.algorithm != "lora" or recipe.dora is not None:
        return None
    if str(checkout) not in sys.path:
        sys.path.append(str(checkout))
    from networks.lora import LoRAModule

    denoiser, modules, parameters = task.own_denoiser(), nn.ModuleDict(), {}
    for path in task.paths:
        layer = denoiser.get_submodule(path)
        module = LoRAModule(path, layer, 1.0, recipe.rank, recipe.alpha)
        module.apply_to()
        modules[path.replace(".", "_")] = module
        parameters[path] = {"down": module.lora_down.weight, "up": module.lora_up.weight}
    return peer_side(NAME, task, denoiser, parameters, modules, is_autocast=True)

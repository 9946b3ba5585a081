"""LyCORIS: its modules on the same layers."""

import logging

from torch import nn

from .side import Side, peer_side
from .task import Task

NAME = "LyCORIS"
NAMES = {
    "lora": {"down": "lora_down.weight", "up": "lora_up.weight"},
    "loha": {name: f"hada_{name}" for name in ("w1_a", "w1_b", "w2_a", "w2_b")},
    "lokr": {name: f"lokr_{name}" for name in ("w1", "w1_a", "w1_b", "w2", "w2_a", "w2_b")},
}


def by_lycoris(task: Task) -> Side:
    """LyCORIS's module of the task's algorithm on every layer, with its own defaults."""
    recipe, denoiser = task.recipe, task.own_denoiser()
    modules, parameters = nn.ModuleDict(), {}
    for path in task.paths:
        module = module_for(denoiser.get_submodule(path), recipe)
        own = {**dict(module.named_parameters()), "dora_scale": getattr(module, "dora_scale", None)}
        names = {**NAMES[recipe.algorithm], **({} if recipe.dora is None else {"magnitude": "dora_scale"})}
        parameters[path] = {key: own[names[key]] for key in task.numbers[path]}
        module.apply_to()
        modules[path.replace(".", "_")] = module
    # it lets the gradient flow through DoRA's norm, which the paper, PEFT and scumble take for a constant
    is_same = recipe.dora is None
    return peer_side(NAME, task, denoiser, parameters, modules, is_autocast=True, has_same_gradients=is_same)


def module_for(layer, recipe):
    """LyCORIS's module for a layer, not applied yet."""
    from lycoris.modules.locon import LoConModule
    from lycoris.modules.loha import LohaModule
    from lycoris.modules.lokr import LokrModule

    logging.getLogger("LyCORIS").setLevel(logging.ERROR)
    classes = {"lora": LoConModule, "loha": LohaModule, "lokr": LokrModule}
    options = {"factor": recipe.factor} if recipe.algorithm == "lokr" else {}
    if recipe.dora is not None:
        options |= {"weight_decompose": True, "wd_on_out": recipe.dora == "output"}
    module = classes[recipe.algorithm]("bench", layer, 1.0, lora_dim=recipe.rank, alpha=recipe.alpha, **options)
    if recipe.dora is not None:
        module.dora_scale.requires_grad_()
    return module

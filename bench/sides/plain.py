"""The formula written out, and no adapter at all."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from .side import Side, peer_side
from .task import Task

FORMULA, NOTHING = "plain formula", "no adapter"


class Formula(nn.Module):
    """h = W x + (alpha / r) B A x, written out.

    Args:
        layer: frozen; linear or a convolution.
        rank: r.
        scale: alpha / r.
    """

    def __init__(self, layer: nn.Module, rank: int, scale: float) -> None:
        super().__init__()
        self.layer, self.scale = layer, scale
        shape = layer.weight.shape
        self.down = nn.Parameter(torch.randn(rank, *shape[1:]) / 100)
        self.up = nn.Parameter(torch.zeros(shape[0], rank, *[1] * (len(shape) - 2)))

    def forward(self, x: Tensor) -> Tensor:
        """The layer and its change, computed in the input's dtype."""
        down, up = self.down.to(x.dtype), self.up.to(x.dtype)
        if self.down.ndim == 2:
            return self.layer(x) + self.scale * ((x @ down.t()) @ up.t())
        thin = functional.conv2d(x, down, None, self.layer.stride, self.layer.padding)
        return self.layer(x) + self.scale * functional.conv2d(thin, up)


def by_formula(task: Task) -> Side | None:
    """The formula on every layer; None of another algorithm."""
    recipe = task.recipe
    if recipe.algorithm != "lora" or recipe.dora is not None:
        return None
    denoiser = task.own_denoiser()
    parameters = {}
    for path in task.paths:
        layer = Formula(denoiser.get_submodule(path), recipe.rank, recipe.alpha / recipe.rank)
        denoiser.set_submodule(path, layer)
        parameters[path] = {"down": layer.down, "up": layer.up}
    return peer_side(FORMULA, task, denoiser, parameters)


def without(task: Task) -> Side:
    """The frozen model alone: forward, and backward to its input."""
    denoiser, batch = task.own_denoiser(), task.batch
    noisy = task.noisy.detach().clone().requires_grad_()

    def prediction() -> Tensor:
        return denoiser(noisy, batch.timesteps, batch.text["hidden"].to(task.dtype), return_dict=False)[0]

    def loss_of(answer: Tensor) -> Tensor:
        return functional.mse_loss(answer.float(), batch.noise.float())

    def step() -> None:
        noisy.grad = None
        loss_of(prediction()).backward()

    return Side(NOTHING, prediction, loss_of, step, {}, has_same_gradients=False)

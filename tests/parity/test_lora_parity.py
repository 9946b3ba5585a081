"""Twenty training steps beside the formula written out, and beside PEFT's layer, from the same start.

On the block structure of Stable Diffusion 1.5 (128 adapted layers), rank 4, alpha 3, AdamW. Compared at every step:
the answer, the loss, and every gradient; at the end every weight. A difference is |a - b| / |b|, of each tensor's norm;
the largest one counts.

In float64 it is rounding alone: measured 1e-15 for the answer, 3e-14 for a gradient, 9e-15 for a weight. In float32, in
which training runs: 7e-7, 1e-5, 2e-6; a gradient is a sum of many numbers of both signs, and AdamW divides by its size.
"""

import pytest
import torch
from peft import LoraConfig
from torch import nn

from scumble.adapters.geometry import Geometry
from scumble.adapters.inject import attach
from scumble.adapters.lora import LoraAdapter, create
from scumble.adapters.recipe import AdapterRecipe
from scumble.adapters.targets import find_targets
from scumble.families.find import open_base

RANK, ALPHA, STEPS = 4, 3.0, 20
TOLERANCE = {
    torch.float64: {"answer": 1e-12, "loss": 1e-12, "gradients": 1e-12, "weights": 1e-12},
    torch.float32: {"answer": 1e-5, "loss": 1e-5, "gradients": 1e-4, "weights": 1e-4},
}
ADAMW = {"lr": 1e-3, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 1e-2}


class Formula(nn.Module):
    """h = W x + b + (alpha / r) B A x, as the paper has it."""

    def __init__(self, layer, down, up):
        super().__init__()
        self.layer, self.down, self.up = layer, nn.Parameter(down.clone()), nn.Parameter(up.clone())

    def forward(self, x):
        return self.layer(x) + (ALPHA / RANK) * ((x @ self.down.T) @ self.up.T)


@pytest.fixture(scope="module")
def base(narrow_base):
    return open_base(str(narrow_base))


@pytest.fixture(scope="module")
def start(base):
    """Path -> (A, B): B is not zero, so that gradients flow through both from the first step."""
    skeleton = base.empty_denoiser()
    source = torch.Generator().manual_seed(11)
    return {
        path: (
            create(skeleton.get_submodule(path), AdapterRecipe("lora", RANK, ALPHA), source).down.detach(),
            0.05 * torch.randn(skeleton.get_submodule(path).out_features, RANK, generator=source),
        )
        for path in find_targets(skeleton, ["attention"])
    }


def ours(model, start):
    adapters = {
        path: LoraAdapter(Geometry.of(model.get_submodule(path)), down.clone(), up.clone(), ALPHA)
        for path, (down, up) in start.items()
    }
    attach(model, "trained", adapters)
    return model, {path: (adapter.down, adapter.up) for path, adapter in adapters.items()}


def formula(model, start):
    for path, (down, up) in start.items():
        model.set_submodule(path, Formula(model.get_submodule(path), down, up))
    return model, {path: (model.get_submodule(path).down, model.get_submodule(path).up) for path in start}


def pefts(model, start):
    names = ["to_q", "to_k", "to_v", "to_out.0"]
    model.add_adapter(LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules=names, lora_dropout=0.0, bias="none"))
    layers = {path: model.get_submodule(path) for path in start}
    assert sum("lora_A.default.weight" in name for name, _ in model.named_parameters()) == len(start)
    weights = {path: (layer.lora_A["default"].weight, layer.lora_B["default"].weight) for path, layer in layers.items()}
    with torch.no_grad():
        for path, (down, up) in start.items():
            weights[path][0].copy_(down)
            weights[path][1].copy_(up)
    return model, weights


def question(step, dtype):
    source = torch.Generator().manual_seed(step)
    noisy, target = (torch.randn(1, 4, 16, 16, generator=source, dtype=dtype) for _ in range(2))
    states = torch.randn(1, 77, 32, generator=source, dtype=dtype)
    return noisy, torch.randint(1000, (1,), generator=source), states, target


class Trainee:
    """A model with its adapter's tensors and an optimizer of its own."""

    def __init__(self, build, base, start, dtype):
        self.dtype = dtype
        start = {path: (down.to(dtype), up.to(dtype)) for path, (down, up) in start.items()}
        self.model, self.weights = build(base.load_denoiser(dtype, torch.device("cpu")), start)
        trainable = [tensor for pair in self.weights.values() for tensor in pair]
        assert {tensor.dtype for tensor in trainable} == {dtype}
        self.optimizer = torch.optim.AdamW(trainable, **ADAMW)

    def step(self, step):
        noisy, timesteps, states, target = question(step, self.dtype)
        self.optimizer.zero_grad()
        answer = self.model(noisy, timesteps, states, return_dict=False)[0]
        loss = nn.functional.mse_loss(answer, target)
        loss.backward()
        gradients = {path: tuple(tensor.grad.clone() for tensor in pair) for path, pair in self.weights.items()}
        self.optimizer.step()
        return answer.detach(), loss.detach(), gradients


def difference(a, b):
    """|a - b| / |b|: of two tensors, or the largest of two "path -> (A, B)"."""
    if isinstance(a, torch.Tensor):
        return ((a - b).norm() / b.norm()).item()
    assert a.keys() == b.keys()
    return max(difference(x, y) for path in a for x, y in zip(a[path], b[path], strict=True))


@pytest.mark.parametrize("dtype", [torch.float64, pytest.param(torch.float32, marks=pytest.mark.slow)], ids=str)
def test_twenty_steps_are_those_of_the_formula_and_of_peft(base, start, dtype):
    assert len(start) == 128
    mine = Trainee(ours, base, start, dtype)
    others = {build.__name__: Trainee(build, base, start, dtype) for build in (formula, pefts)}
    furthest = {name: dict.fromkeys(TOLERANCE[dtype], 0.0) for name in others}
    for step in range(STEPS):
        found = mine.step(step)
        for name, other in others.items():
            for what, a, b in zip(("answer", "loss", "gradients"), found, other.step(step), strict=True):
                furthest[name][what] = max(furthest[name][what], difference(a, b))
    for name, other in others.items():
        furthest[name]["weights"] = difference(mine.weights, other.weights)
        print(f"{name} {dtype}: {furthest[name]}")  # pytest -s shows the figures
    initial = {path: (down.to(dtype), up.to(dtype)) for path, (down, up) in start.items()}
    assert difference(mine.weights, initial) > 0.3  # they did train
    for name, found in furthest.items():
        assert {what: far for what, far in found.items() if far > TOLERANCE[dtype][what]} == {}, name

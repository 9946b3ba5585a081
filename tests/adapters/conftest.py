"""A real denoiser, questions to ask it, and adapters that change something."""

import pytest
import torch

from scumble.adapters.lora import LoraAdapter, create
from scumble.adapters.recipe import AdapterRecipe
from scumble.adapters.targets import find_targets
from scumble.families.find import open_base

RANK, ALPHA = 4, 3.0


@pytest.fixture
def denoiser(tiny_base, cpu):
    return open_base(str(tiny_base)).load_denoiser(torch.float32, cpu)


@pytest.fixture
def ask():
    """What a denoiser answers to one fixed question."""

    def answer(model, dtype=torch.float32):
        source = torch.Generator().manual_seed(5)
        noisy = torch.randn(2, 4, 4, 4, generator=source).to(dtype)
        states = torch.randn(2, 77, 32, generator=source).to(dtype)
        return model(noisy, torch.tensor([3, 700]), states, return_dict=False)[0]

    return answer


@pytest.fixture
def new_adapters():
    """Adapters as training starts with them, on all attention layers."""

    def build(model, targets=("attention",), seed=0):
        source = torch.Generator().manual_seed(seed)
        return {
            path: create(model.get_submodule(path), AdapterRecipe("lora", RANK, ALPHA), source)
            for path in find_targets(model, targets)
        }

    return build


@pytest.fixture
def trained_adapters(new_adapters):
    """Adapters with numbers in both matrices."""

    def build(model, targets=("attention",), seed=0):
        source = torch.Generator().manual_seed(seed + 100)
        return {
            path: LoraAdapter(
                adapter.geometry,
                adapter.down.detach(),
                0.2 * torch.randn(adapter.up.shape, generator=source),
                adapter.alpha,
            )
            for path, adapter in new_adapters(model, targets, seed).items()
        }

    return build

"""A linear layer and its LoRA as one operation, beside the same in steps."""

import pytest
import torch
from torch import nn

from scumble.adapters.base import Dropout
from scumble.adapters.fused import can_be_fused
from scumble.adapters.inject import attach
from scumble.adapters.lora import create
from scumble.adapters.recipe import AdapterRecipe

SCALE, STRENGTH = 3 / 4, 0.7


def adapted(dtype=torch.float64, bias=True):
    """A model of one linear layer 6 -> 5 with a LoRA of rank 4 whose factors are both random."""
    torch.manual_seed(0)
    layer = nn.Linear(6, 5, bias=bias).to(dtype).requires_grad_(False)
    adapter = create(layer, AdapterRecipe("lora", 4, 3.0), torch.Generator().manual_seed(1))
    if dtype == torch.float64:
        adapter.double()
    nn.init.normal_(adapter.up)
    model = nn.Sequential(layer)
    attach(model, "trained", {"0": adapter}, STRENGTH)
    return model, layer, adapter


def in_steps(layer, adapter, x):
    """The formula, in x's dtype."""
    down, up = adapter.down.to(x.dtype), adapter.up.to(x.dtype)
    return layer(x) + STRENGTH * SCALE * ((x @ down.t()) @ up.t())


def gradients(output, x, adapter):
    weights = torch.randn(output.shape, generator=torch.Generator().manual_seed(2)).to(output.dtype)
    return torch.autograd.grad((output * weights).sum(), [x, adapter.down, adapter.up])


@pytest.mark.parametrize("shape", [(7, 6), (2, 3, 6), (2, 3, 4, 6)])
@pytest.mark.parametrize("bias", [True, False])
def test_output_and_gradients_are_those_of_the_formula(shape, bias):
    model, layer, adapter = adapted(bias=bias)
    x = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    output, expected = model(x), in_steps(layer, adapter, x)
    torch.testing.assert_close(output, expected, rtol=1e-13, atol=1e-13)
    for mine, other in zip(gradients(output, x, adapter), gradients(expected, x, adapter), strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-12, atol=1e-13)


def test_a_second_derivative_is_refused():
    model, _, adapter = adapted()
    x = torch.randn(3, 6, dtype=torch.float64, requires_grad=True)
    (first,) = torch.autograd.grad(model(x).square().sum(), adapter.up, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        first.sum().backward()


def test_half_precision_keeps_float32_gradients_of_the_adapter():
    model, layer, adapter = adapted(torch.bfloat16)
    x = torch.randn(32, 6, dtype=torch.bfloat16, requires_grad=True)
    output = model(x)
    assert output.dtype == torch.bfloat16
    of_x, of_down, of_up = gradients(output, x, adapter)
    assert (of_x.dtype, of_down.dtype, of_up.dtype) == (torch.bfloat16, torch.float32, torch.float32)
    for mine, other in zip((of_x, of_down, of_up), gradients(in_steps(layer, adapter, x), x, adapter), strict=True):
        assert float((mine - other).norm() / other.norm()) < 0.01


def test_an_input_without_gradient_gets_none():
    model, _, adapter = adapted()
    model(torch.randn(3, 6, dtype=torch.float64)).sum().backward()
    assert adapter.down.grad.any()
    assert adapter.up.grad.any()


def test_a_layer_that_others_look_at_runs_itself():
    model, layer, _ = adapted()
    seen = []
    layer.register_forward_hook(lambda module, inputs, output: seen.append(output.shape))
    model(torch.randn(3, 6, dtype=torch.float64))
    assert seen == [(3, 5)]


@pytest.mark.parametrize("dropout", [Dropout(input=0.5), Dropout(rank=0.5)])
def test_dropout_still_leaves_out(dropout):
    model, layer, adapter = adapted()
    adapter.leave_out(dropout)
    adapter.train()
    x = torch.randn(64, 6, dtype=torch.float64)
    assert not torch.allclose(model(x), in_steps(layer, adapter, x))


def test_only_frozen_linear_layers_are_fused():
    assert can_be_fused(nn.Linear(2, 2).requires_grad_(False))
    assert not can_be_fused(nn.Linear(2, 2))
    assert not can_be_fused(nn.Conv2d(2, 2, 1).requires_grad_(False))

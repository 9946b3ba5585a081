"""What holds for every algorithm, with and without DoRA on either axis, on every kind of layer, frozen weight and
precision."""

import copy
from dataclasses import replace

import pytest
import torch
from tests.adapters.kinds import AXES, LAYERS, RECIPES, make_input, make_layer, new, trained
from torch import nn

from scumble.adapters.base import Dropout
from scumble.adapters.build import adapter_of, empty_tensors
from scumble.adapters.inject import attach, eject, fold, set_strength, unfold
from scumble.adapters.stored import StoredLayer
from scumble.adapters.weight import bias_of, weight_of
from scumble.errors import LoraFileError

pytestmark = [
    pytest.mark.parametrize("recipe", RECIPES),
    pytest.mark.parametrize("axis", AXES, ids=["plain", "dora output", "dora input"]),
    pytest.mark.parametrize("kind", LAYERS),
]
PACKINGS = (None, "nf4", "int8")
MANY_TIMES = ("linear", "conv 3x3")
"""Kinds of layer that are run hundreds of times, for a mean."""


def model_of(kind, packing=None, dtype=torch.float32):
    """A model of one layer, named "0", whose weight may be packed."""
    layer = make_layer(kind, dtype)
    return nn.Sequential(layer if packing is None else StoredLayer(layer, packing))


def run_dense(layer, adapter, x, strength=1.0):
    """The layer with its weight changed as a whole: the definition."""
    weight = weight_of(layer).float() + strength * adapter.delta()
    bias = bias_of(layer)
    geometry = adapter.geometry
    output = geometry.run(x.float(), weight)
    if bias is None:
        return output
    return output + (bias.float().view(-1, 1, 1) if geometry.is_conv else bias.float())


@pytest.mark.parametrize("packing", PACKINGS)
def test_a_new_adapter_changes_nothing(recipe, axis, kind, packing):
    model, x = model_of(kind, packing), make_input(kind)
    plain = model(x)
    adapter = new(model[0], recipe, axis)
    attach(model, "new", {"0": adapter})
    assert torch.equal(model(x), plain)
    assert adapter.delta().abs().max() <= 1e-7 * (axis is not None)


def test_a_new_adapter_is_made_for_a_layer_that_lies_elsewhere(recipe, axis, kind):
    """On the meta device, as on a GPU, nothing can be computed together with numbers of the computer's memory."""
    if RECIPES[recipe].init == "pissa":
        return  # it takes the weight apart, which is a matter of its own
    layer = make_layer(kind).to("meta")
    adapter = new(layer, recipe, axis).to("meta")
    expected = empty_tensors(layer, replace(RECIPES[recipe], dora=axis))
    assert {name: tensor.shape for name, tensor in adapter.tensors().items()} == {
        name: tensor.shape for name, tensor in expected.items()
    }


@pytest.mark.parametrize("packing", PACKINGS)
def test_running_is_the_weight_changed_as_a_whole(recipe, axis, kind, packing):
    model, x = model_of(kind, packing), make_input(kind)
    adapter = trained(model[0], recipe, axis)
    expected = {strength: run_dense(model[0], adapter, x, strength) for strength in (1.0, -0.7)}
    attach(model, "trained", {"0": adapter})
    for strength, output in expected.items():
        set_strength(model, "trained", strength)
        torch.testing.assert_close(model(x), output, rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize("packing", PACKINGS)
def test_folded_is_running_and_unfolded_is_as_before(recipe, axis, kind, packing):
    model, x = model_of(kind, packing), make_input(kind)
    frozen = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    layer, plain = model[0], model(x)
    attach(model, "trained", {"0": trained(model[0], recipe, axis)}, 0.8)
    running = model(x)
    fold(model)
    torch.testing.assert_close(model(x), running, rtol=1e-5, atol=2e-5)
    unfold(model)
    assert torch.equal(model(x), running)
    fold(model)
    eject(model)
    assert model[0] is layer
    assert torch.equal(model(x), plain)
    assert all(torch.equal(tensor, frozen[name]) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["fp32", "bf16"])
@pytest.mark.parametrize("packing", PACKINGS)
def test_gradients_reach_every_parameter_and_only_them(recipe, axis, kind, packing, dtype):
    model, x = model_of(kind, packing, dtype), make_input(kind, dtype).requires_grad_()
    adapter = trained(model[0], recipe, axis)
    attach(model, "trained", {"0": adapter})
    output = model(x)
    assert output.dtype == dtype
    output.float().square().mean().backward()
    gradients = {name: parameter.grad for name, parameter in adapter.named_parameters()}
    assert all(gradient is not None and gradient.abs().max() > 0 for gradient in gradients.values())
    assert {gradient.dtype for gradient in gradients.values()} == {torch.float32}
    assert x.grad.abs().max() > 0
    own = {id(parameter) for parameter in adapter.parameters()}
    assert {id(parameter) for parameter in model.parameters() if parameter.grad is not None} == own


def test_gradients_are_those_of_the_weight_changed_as_a_whole(recipe, axis, kind):
    layer, x = make_layer(kind), make_input(kind).requires_grad_()
    adapter = trained(layer, recipe, axis)
    if axis is not None:
        adapter.is_norm_trained = True  # delta() is differentiated as it stands
    model = nn.Sequential(copy.deepcopy(layer))
    attach(model, "trained", {"0": adapter}, 0.6)
    weights = torch.randn(model(x).shape, generator=torch.Generator().manual_seed(3))
    wanted = [x, *adapter.parameters()]
    ours = torch.autograd.grad((model(x) * weights).sum(), wanted)
    dense = torch.autograd.grad((run_dense(layer, adapter, x, 0.6) * weights).sum(), wanted)
    for mine, other in zip(ours, dense, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-4 * float(other.abs().max()))


def test_what_is_saved_is_the_same_adapter(recipe, axis, kind):
    layer, x = make_layer(kind), make_input(kind)
    adapter = trained(layer, recipe, axis)
    again = adapter_of(layer, adapter.algorithm, adapter.tensors(), adapter.rank, adapter.alpha, "here")
    assert torch.equal(again.delta(), adapter.delta())
    assert torch.equal(again.change(x), adapter.change(x))
    assert {name: tensor.shape for name, tensor in again.tensors().items()} == {
        name: tensor.shape for name, tensor in adapter.tensors().items()
    }


def test_the_shapes_are_known_before_the_numbers_are_made(recipe, axis, kind):
    layer = make_layer(kind)
    adapter = new(layer, recipe, axis)
    wanted = replace(RECIPES[recipe], dora=axis)
    planned = empty_tensors(layer.to("meta"), wanted).values()
    assert sorted(tuple(tensor.shape) for tensor in planned) == sorted(
        tuple(parameter.shape) for parameter in adapter.parameters()
    )


def test_numbers_for_another_layer_are_refused(recipe, axis, kind):
    adapter = trained(make_layer(kind), recipe, axis)
    others = {"linear": nn.Linear(12, 10), "square": nn.Linear(10, 8), "conv 1x1": nn.Conv2d(10, 8, 1)}
    other = others.get(kind, nn.Conv2d(4, 6, 5, padding=2))
    with pytest.raises(LoraFileError, match=r"there: found .* another base"):
        adapter_of(other, adapter.algorithm, adapter.tensors(), adapter.rank, adapter.alpha, "there")


def test_dropout_acts_in_training_only_and_keeps_the_mean(recipe, axis, kind):
    layer, x = make_layer(kind), make_input(kind)
    for setting in ("input", "rank", "module"):
        adapter = trained(layer, recipe, axis, dropout=Dropout(**{setting: 0.5}))
        model = nn.Sequential(copy.deepcopy(layer))
        attach(model, "trained", {"0": adapter})
        quiet = model(x)
        assert torch.equal(model(x), quiet)
        adapter.train()
        torch.manual_seed(0)
        has_mean = setting == "module" or axis is None  # DoRA divides by a norm, which is not linear
        has_mean &= kind in MANY_TIMES
        noisy = torch.stack([model(x) for _ in range(400 if has_mean else 8)])
        assert noisy.std(0).max() > 0
        if has_mean:
            kept = 0.5 if setting == "module" else 1.0
            mean = noisy.mean(0) - layer(x)
            error = (mean - kept * (quiet - layer(x))).norm() / (quiet - layer(x)).norm()
            assert error < 0.2

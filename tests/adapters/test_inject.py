"""Putting adapters on a real denoiser and taking them off again."""

import importlib

import pytest
import torch
from torch import nn

from scumble.adapters.inject import adapted_layers, attach, detach, eject, fold, set_strength, unfold
from scumble.adapters.weight import weight_of
from scumble.families.find import open_base


def snapshot(model):
    """Every module object by path, and every weight's bits."""
    modules = {path: id(module) for path, module in model.named_modules()}
    return modules, {key: tensor.clone() for key, tensor in model.state_dict().items()}


def assert_as_found(model, before):
    modules, weights = before
    assert {path: id(module) for path, module in model.named_modules()} == modules
    assert list(model.state_dict()) == list(weights)
    assert all(torch.equal(tensor, weights[key]) for key, tensor in model.state_dict().items())


def test_a_new_adapter_changes_nothing(denoiser, new_adapters, ask):
    plain = ask(denoiser)
    attach(denoiser, "new", new_adapters(denoiser))
    assert len(list(adapted_layers(denoiser))) == 32
    assert torch.equal(ask(denoiser), plain)


def test_a_trained_adapter_changes_the_answer(denoiser, trained_adapters, ask):
    plain = ask(denoiser)
    attach(denoiser, "trained", trained_adapters(denoiser))
    assert (ask(denoiser) - plain).abs().max() > 1e-3


def test_gradients_reach_every_adapter_tensor_and_nothing_else(denoiser, trained_adapters, ask):
    adapters = trained_adapters(denoiser)
    attach(denoiser, "trained", adapters)
    ask(denoiser).square().mean().backward()
    own = [parameter for adapter in adapters.values() for parameter in adapter.parameters()]
    assert len(own) == 2 * 32
    assert all(parameter.grad is not None and parameter.grad.abs().max() > 0 for parameter in own)
    reached = {id(parameter) for parameter in denoiser.parameters() if parameter.grad is not None}
    assert reached == {id(parameter) for parameter in own}


def test_only_the_adapter_asks_for_gradients(denoiser, new_adapters):
    adapters = new_adapters(denoiser)
    attach(denoiser, "new", adapters)
    trainable = sum(parameter.numel() for parameter in denoiser.parameters() if parameter.requires_grad)
    assert trainable == sum(adapter.down.numel() + adapter.up.numel() for adapter in adapters.values())


def test_folded_in_gives_what_running_gives(denoiser, trained_adapters, ask):
    attach(denoiser, "trained", trained_adapters(denoiser), 0.7)
    running = ask(denoiser)
    fold(denoiser)
    error = (ask(denoiser) - running).abs().max() / running.abs().max()
    assert 0 < error < 2e-6  # another order of additions, so not the very same bits


def test_unfolding_restores_every_weight_to_the_bit(denoiser, trained_adapters, ask):
    attach(denoiser, "trained", trained_adapters(denoiser))
    running, weights = ask(denoiser), {key: tensor.clone() for key, tensor in denoiser.state_dict().items()}
    fold(denoiser)
    folded = denoiser.state_dict()
    assert sum(not torch.equal(folded[key], weights[key]) for key in weights) == 32
    unfold(denoiser)
    assert all(torch.equal(tensor, weights[key]) for key, tensor in denoiser.state_dict().items())
    assert torch.equal(ask(denoiser), running)


def test_a_half_precision_base_unfolds_to_the_bit(tiny_base, trained_adapters, cpu):
    denoiser = open_base(str(tiny_base)).load_denoiser(torch.bfloat16, cpu)
    before = snapshot(denoiser)
    attach(denoiser, "trained", trained_adapters(denoiser))
    fold(denoiser)
    eject(denoiser)
    assert_as_found(denoiser, before)


@pytest.mark.parametrize("is_folded", [False, True])
def test_ejecting_leaves_the_model_exactly_as_found(denoiser, trained_adapters, ask, is_folded):
    before, plain = snapshot(denoiser), ask(denoiser)
    attach(denoiser, "one", trained_adapters(denoiser, seed=1), 0.5)
    attach(denoiser, "two", trained_adapters(denoiser, ("cross-attention",), seed=2))
    if is_folded:
        fold(denoiser)
    eject(denoiser)
    assert_as_found(denoiser, before)
    assert torch.equal(ask(denoiser), plain)


@pytest.mark.parametrize("is_folded", [False, True])
def test_strength_zero_gives_the_base_exactly(denoiser, trained_adapters, ask, is_folded):
    plain = ask(denoiser)
    attach(denoiser, "trained", trained_adapters(denoiser))
    set_strength(denoiser, "trained", 0.0)
    if is_folded:
        fold(denoiser)
    assert torch.equal(ask(denoiser), plain)


def test_strength_multiplies_the_change(trained_adapters):
    layer = nn.Sequential(nn.Linear(6, 5))
    attach(layer, "a", {"0": next(iter(trained_adapters(layer, ("0",)).values()))})
    x = torch.randn(3, 6)
    changes = {}
    for strength in (0.0, 1.0, -0.5):
        set_strength(layer, "a", strength)
        changes[strength] = layer(x)
    whole = changes[1.0] - changes[0.0]
    torch.testing.assert_close(changes[-0.5] - changes[0.0], -0.5 * whole)


def test_several_adapters_add_up(trained_adapters):
    layer = nn.Sequential(nn.Linear(6, 5))
    x, plain = torch.randn(3, 6), None
    plain = layer(x)
    one, two = (next(iter(trained_adapters(layer, ("0",), seed).values())) for seed in (1, 2))
    attach(layer, "one", {"0": one}, 0.3)
    attach(layer, "two", {"0": two}, 1.5)
    expected = plain + 0.3 * x @ one.delta().T + 1.5 * x @ two.delta().T
    torch.testing.assert_close(layer(x), expected)
    fold(layer)
    torch.testing.assert_close(layer(x), expected)


def test_detaching_one_leaves_the_other(denoiser, trained_adapters, ask):
    one, two = trained_adapters(denoiser, seed=1), trained_adapters(denoiser, ("cross-attention",), seed=2)
    attach(denoiser, "one", one)
    alone = ask(denoiser)
    attach(denoiser, "two", two)
    assert not torch.equal(ask(denoiser), alone)
    detach(denoiser, "two")
    assert torch.equal(ask(denoiser), alone)


def test_detaching_the_last_one_leaves_the_model_as_found(denoiser, trained_adapters):
    before = snapshot(denoiser)
    attach(denoiser, "one", trained_adapters(denoiser))
    detach(denoiser, "one")
    assert_as_found(denoiser, before)


def test_a_bfloat16_base_keeps_a_float32_adapter(tiny_base, new_adapters, ask, cpu):
    denoiser = open_base(str(tiny_base)).load_denoiser(torch.bfloat16, cpu)
    adapters = new_adapters(denoiser)
    attach(denoiser, "new", adapters)
    answer = ask(denoiser, torch.bfloat16)
    assert answer.dtype == torch.bfloat16
    answer.float().square().mean().backward()
    for adapter in adapters.values():
        assert {parameter.dtype for parameter in adapter.parameters()} == {torch.float32}
    ups = [adapter.up.grad for adapter in adapters.values()]
    assert all(gradient.dtype == torch.float32 and gradient.abs().max() > 0 for gradient in ups)


def test_a_name_is_given_once_only(denoiser, new_adapters):
    attach(denoiser, "same", new_adapters(denoiser))
    with pytest.raises(AssertionError, match="same"):
        attach(denoiser, "same", new_adapters(denoiser))


def test_folding_twice_is_refused(denoiser, new_adapters):
    attach(denoiser, "new", new_adapters(denoiser))
    fold(denoiser)
    with pytest.raises(AssertionError, match="folded already"):
        fold(denoiser)


@pytest.mark.parametrize("has_room", [True, False])
def test_weights_come_back_to_the_bit_wherever_they_were_kept(denoiser, trained_adapters, monkeypatch, has_room):
    inject, asked = importlib.import_module("scumble.adapters.inject"), []
    monkeypatch.setattr(inject, "has_room_for", lambda num_bytes, device: asked.append(num_bytes) or has_room)
    attach(denoiser, "trained", trained_adapters(denoiser))
    weights = {path: weight_of(module.layer).clone() for path, module in adapted_layers(denoiser)}
    fold(denoiser)
    assert asked == [sum(weight.nbytes for weight in weights.values())]
    assert not any(torch.equal(weight_of(module.layer), weights[path]) for path, module in adapted_layers(denoiser))
    unfold(denoiser)
    assert all(torch.equal(weight_of(module.layer), weights[path]) for path, module in adapted_layers(denoiser))

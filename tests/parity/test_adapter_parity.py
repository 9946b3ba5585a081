"""Every algorithm beside LyCORIS's and PEFT's own layers: the same numbers give the same output and gradients.

On linear layers and convolutions, always with alpha != rank. A difference is |a - b| / |b| of the whole tensor, in
float32: rounding alone.
"""

import logging

import peft
import pytest
import torch
from lycoris.modules.locon import LoConModule
from lycoris.modules.loha import LohaModule
from lycoris.modules.lokr import LokrModule
from tests.adapters.kinds import LAYERS, RECIPES, make_input, make_layer, trained
from torch import nn

from scumble.adapters.inject import attach

TOLERANCE = 2e-5
LYCORIS = {
    "lora": (LoConModule, {"down": "lora_down.weight", "up": "lora_up.weight"}),
    "loha": (LohaModule, {name: f"hada_{name}" for name in ("w1_a", "w1_b", "w2_a", "w2_b")}),
    "lokr": (LokrModule, {name: f"lokr_{name}" for name in ("w1", "w1_a", "w1_b", "w2", "w2_a", "w2_b")}),
}
LYCORIS_OPTIONS = {
    "lora, rank-stabilised": {"rs_lora": True},
    "lokr": {"factor": 2},
    "lokr, both split": {"factor": 4, "decompose_both": True},
    "lokr, full matrix": {"full_matrix": True},
}


def difference(a, b):
    return float((a - b).norm() / b.norm())


def run(module, x, parameters):
    """Output, and the gradients of a fixed function of it: of x, then of the parameters."""
    x = x.clone().requires_grad_()
    output = module(x)
    weights = torch.randn(output.shape, generator=torch.Generator().manual_seed(9))
    return output.detach(), torch.autograd.grad((output * weights).sum(), [x, *parameters])


def compare(adapter, layer, peer, peer_parameters, x):
    """Compare a layer with our adapter with a peer's layer; parameters by name."""
    names = [name.removeprefix("inner.") for name, _ in adapter.named_parameters()]
    assert set(names) == set(peer_parameters), "the peer trains the same numbers"
    model = nn.Sequential(layer)
    attach(model, "ours", {"0": adapter})
    ours = run(model, x, list(adapter.parameters()))
    theirs = run(peer, x, [peer_parameters[name] for name in names])
    assert difference(ours[0], theirs[0]) < TOLERANCE
    for name, mine, other in zip(["x", *names], ours[1], theirs[1], strict=True):
        assert difference(mine, other.view_as(mine)) < TOLERANCE, name


@pytest.mark.parametrize("axis", [None, "output", "input"], ids=["plain", "dora output", "dora input"])
@pytest.mark.parametrize(
    "recipe", ["lora", "lora, rank-stabilised", "loha", "lokr", "lokr, both split", "lokr, full matrix"]
)
@pytest.mark.parametrize("kind", LAYERS)
def test_lycoris_computes_the_same(kind, recipe, axis):
    layer, x = make_layer(kind), make_input(kind)
    adapter = trained(layer, recipe, axis)
    made = RECIPES[recipe]
    module_class, names = LYCORIS[made.algorithm]
    options = {"weight_decompose": axis is not None, "wd_on_out": axis != "input", **LYCORIS_OPTIONS.get(recipe, {})}
    host = make_layer(kind)
    logging.getLogger("LyCORIS").setLevel(logging.ERROR)
    peer = module_class("peer", host, 1.0, lora_dim=made.rank, alpha=made.alpha, **options)
    own = dict(peer.named_parameters())
    if axis is not None:
        adapter.is_norm_trained = True  # LyCORIS lets the gradient through the norm
        names = {**names, "magnitude": "dora_scale"}
        peer.dora_scale.requires_grad_()
        own["dora_scale"] = peer.dora_scale
    numbers = adapter.tensors()
    parameters = {}
    for name, their_name in names.items():
        if name in numbers:
            with torch.no_grad():
                own[their_name].copy_(numbers[name])
            parameters[name] = own[their_name]
    peer.apply_to()
    compare(adapter, layer, host, parameters, x)


def peft_host(kind, config):
    model = nn.Sequential(make_layer(kind))
    return peft.get_peft_model(model, config).base_model.model[0]


@pytest.mark.parametrize("dora", [False, True], ids=["plain", "dora output"])
@pytest.mark.parametrize("is_rank_stabilised", [False, True], ids=["", "rank-stabilised"])
@pytest.mark.parametrize("kind", LAYERS)
def test_pefts_lora_computes_the_same(kind, is_rank_stabilised, dora):
    recipe = "lora, rank-stabilised" if is_rank_stabilised else "lora"
    layer, x = make_layer(kind), make_input(kind)
    adapter = trained(layer, recipe, "output" if dora else None)
    made = RECIPES[recipe]
    config = peft.LoraConfig(
        r=made.rank, lora_alpha=made.alpha, target_modules=["0"], use_dora=dora, use_rslora=is_rank_stabilised
    )
    peer = peft_host(kind, config)
    parameters = {"down": peer.lora_A["default"].weight, "up": peer.lora_B["default"].weight}
    if dora:
        parameters["magnitude"] = peer.lora_magnitude_vector["default"].weight
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(adapter.tensors()[name].view_as(parameter))
    compare(adapter, layer, peer, parameters, x)


@pytest.mark.parametrize("kind", ["linear", "square", "conv 1x1", "conv 3x3"])
def test_pefts_loha_computes_the_same(kind):
    layer, x = make_layer(kind), make_input(kind)
    adapter, made = trained(layer, "loha"), RECIPES["loha"]
    peer = peft_host(kind, peft.LoHaConfig(r=made.rank, alpha=made.alpha, target_modules=["0"]))
    parameters = {name: getattr(peer, f"hada_{name}")["default"] for name in ("w1_a", "w1_b", "w2_a", "w2_b")}
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(adapter.tensors()[name])
    compare(adapter, layer, peer, parameters, x)


@pytest.mark.parametrize("kind", ["linear", "square", "conv 1x1", "conv 3x3"])
def test_pefts_lokr_computes_the_same(kind):
    layer, x = make_layer(kind), make_input(kind)
    adapter, made = trained(layer, "lokr"), RECIPES["lokr"]
    config = peft.LoKrConfig(r=made.rank, alpha=made.alpha, target_modules=["0"], decompose_factor=made.factor)
    peer = peft_host(kind, config)
    parameters = {name: getattr(peer, f"lokr_{name}")["default"] for name in adapter.tensors()}
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(adapter.tensors()[name])
    compare(adapter, layer, peer, parameters, x)

"""The LoRA formula, how it starts, and what shapes it takes."""

import math

import pytest
import torch
from torch import nn

from scumble.adapters.geometry import Geometry
from scumble.adapters.lora import LoraAdapter, create, from_tensors
from scumble.adapters.recipe import AdapterRecipe
from scumble.errors import LoraFileError

RANK, ALPHA = 5, 2.0


@pytest.fixture
def layer():
    torch.manual_seed(0)
    return nn.Linear(12, 7)


def random_lora(layer, rank=RANK, alpha=ALPHA):
    source = torch.Generator().manual_seed(1)
    down = torch.randn(rank, layer.in_features, generator=source)
    return LoraAdapter(Geometry.of(layer), down, torch.randn(layer.out_features, rank, generator=source), alpha)


@pytest.mark.parametrize("shape", [(3,), (2, 3), (2, 3, 4), ()])
def test_the_output_is_wx_plus_alpha_over_r_bax(layer, shape):
    lora, x = random_lora(layer), torch.randn(*shape, 12)
    expected = layer(x) + (ALPHA / RANK) * (x @ lora.down.T) @ lora.up.T
    torch.testing.assert_close(lora.added_to(layer(x), x, 1.0), expected)


def test_the_weight_change_is_alpha_over_r_ba(layer):
    lora = random_lora(layer)
    expected = (ALPHA / RANK) * torch.einsum("or,ri->oi", lora.up, lora.down)
    torch.testing.assert_close(lora.delta(), expected)


def test_the_bias_is_added_once(layer):
    lora = random_lora(layer)
    zero = torch.zeros(1, 12)
    torch.testing.assert_close(lora.added_to(layer(zero), zero, 1.0), layer.bias[None])


def test_a_new_lora_has_b_zero_and_a_not(layer):
    lora = create(layer, AdapterRecipe("lora", RANK, ALPHA), torch.Generator().manual_seed(0))
    assert not lora.up.any()
    assert lora.down.abs().min() > 0
    assert (lora.rank, lora.alpha, lora.scale) == (RANK, ALPHA, ALPHA / RANK)


def test_kaiming_is_uniform_within_one_over_root_in():
    wide = nn.Linear(900, 8)
    down = create(wide, AdapterRecipe("lora", 64, 16.0), torch.Generator().manual_seed(0)).down.detach()
    bound = 1 / math.sqrt(900)
    assert down.abs().max() <= bound
    assert down.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.01)
    assert (down.abs() > bound / 2).float().mean().item() == pytest.approx(0.5, abs=0.01)  # a Gaussian would say 0.39
    assert down.mean().item() == pytest.approx(0, abs=bound / 100)


def test_gaussian_has_deviation_one_hundredth():
    wide = nn.Linear(900, 8)
    down = create(wide, AdapterRecipe("lora", 64, 16.0, "gaussian"), torch.Generator().manual_seed(0)).down.detach()
    assert down.std().item() == pytest.approx(0.01, rel=0.01)
    assert (down.abs() < 0.01).float().mean().item() == pytest.approx(0.6827, abs=0.01)


def test_the_start_depends_on_the_generator_alone(layer):
    first, again, other = (
        create(layer, AdapterRecipe("lora", RANK, ALPHA), torch.Generator().manual_seed(seed)).down
        for seed in (3, 3, 4)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_a_lora_for_a_half_precision_layer_is_float32(layer):
    lora = create(layer.half(), AdapterRecipe("lora", RANK, ALPHA, "gaussian"), torch.Generator())
    assert {tensor.dtype for tensor in lora.tensors().values()} == {torch.float32}


def test_tensors_give_the_same_lora_back(layer):
    lora, x = random_lora(layer), torch.randn(2, 12)
    again = from_tensors(layer, lora.tensors(), lora.rank, lora.alpha, "here")
    assert torch.equal(again.added_to(layer(x), x, 1.0), lora.added_to(layer(x), x, 1.0))


def test_numbers_from_a_file_are_not_shared(layer):
    tensors = {name: tensor.detach() for name, tensor in random_lora(layer).tensors().items()}
    kept = tensors["up"].clone()
    with torch.no_grad():
        from_tensors(layer, tensors, RANK, ALPHA, "here").up.zero_()
    assert torch.equal(tensors["up"], kept)


@pytest.mark.parametrize(
    ("down", "up"),
    [((4, 11), (7, 4)), ((4, 12), (8, 4)), ((4, 12), (7, 3))],
    ids=["other input width", "other output width", "ranks differ"],
)
def test_wrong_shapes_are_refused_with_what_was_found(layer, down, up):
    with pytest.raises(LoraFileError, match=r"mid\.to_q.*\[7, 12\].*another base"):
        from_tensors(layer, {"down": torch.zeros(down), "up": torch.zeros(up)}, 4, ALPHA, "mid.to_q")

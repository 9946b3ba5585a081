"""A model of 16 bits that computes in float32 gives what it would give in float32, and is what it was afterwards."""

import copy

import pytest
import torch
from torch import nn

from scumble.adapters.computing import computing_in


def model():
    """Layers of several kinds, one with numbers that are no parameters."""
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.SiLU(), nn.Flatten(), nn.LazyLinear(5))
    with torch.no_grad():
        layers(torch.randn(2, 3, 6, 6))
    return layers.eval()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
@torch.no_grad()
def test_converting_layer_by_layer_equals_converting_all(dtype):
    narrow, x = model().to(dtype), torch.randn(2, 3, 6, 6)
    before = {name: (tensor, tensor.data_ptr(), tensor.clone()) for name, tensor in narrow.state_dict().items()}
    wide = copy.deepcopy(narrow).float()
    with computing_in(narrow, torch.float32):
        found = narrow(x)
    assert torch.equal(found, wide(x))
    for name, tensor in narrow.state_dict().items():
        _, place, value = before[name]
        assert tensor.data_ptr() == place
        assert torch.equal(tensor, value)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in narrow.modules())


@torch.no_grad()
def test_a_layer_that_fails_has_its_own_weights_again():
    narrow = model().bfloat16()
    with pytest.raises(RuntimeError), computing_in(narrow, torch.float32):
        narrow(torch.randn(2, 5, 6, 6))
    assert {tensor.dtype for tensor in narrow.parameters()} == {torch.bfloat16}

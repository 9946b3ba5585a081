import pytest
import torch
from torch import nn

from scumble.errors import CheckpointError
from scumble.mini.muon import Muon, orthogonalised


@pytest.mark.parametrize("shape", [(3, 8, 8), (2, 5, 20), (2, 20, 5)])
def test_singular_values_come_near_one(shape):
    matrices = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    values = torch.linalg.svdvals(orthogonalised(matrices))
    assert values.min() > 0.3
    assert values.max() < 1.3


def test_the_singular_vectors_stay():
    matrix = torch.randn(1, 6, 6, generator=torch.Generator().manual_seed(1))
    u, _, v = torch.linalg.svd(matrix)
    core = u.mT @ orthogonalised(matrix) @ v.mT
    assert (core - torch.diag_embed(core.diagonal(dim1=1, dim2=2))).abs().max() < 0.05


def test_it_descends_over_matrices_and_convolutions():
    layers = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Flatten(), nn.Linear(8 * 36, 4))
    torch.manual_seed(0)
    inputs, targets = torch.randn(16, 3, 8, 8), torch.randn(16, 4)
    muon = Muon({name: p for name, p in layers.named_parameters() if p.ndim > 1})
    losses = []
    for _ in range(40):
        layers.zero_grad()
        loss = (layers(inputs) - targets).square().mean()
        loss.backward()
        muon.step(0.02)
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.2 * losses[0]


def test_state_of_another_model_is_refused():
    one, other = nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False)
    with pytest.raises(CheckpointError):
        Muon({"one": one.weight}).restore(Muon({"other": other.weight}).state_tensors())

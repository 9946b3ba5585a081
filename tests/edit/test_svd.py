"""The square of a product is the same by the factors' small matrices and by the product itself."""

import pytest
import torch

from scumble.edit.svd import Thin


@pytest.mark.parametrize("rank", [1, 4, 12, 13, 40, 400])
def test_the_square_of_a_product_of_any_rank(rank):
    source = torch.Generator().manual_seed(rank)
    thin = Thin(torch.randn(20, rank, generator=source), torch.randn(rank, 33, generator=source))
    expected = (thin.up.double() @ thin.down.double()).square().sum()
    assert thin.square() == pytest.approx(float(expected), rel=1e-12)


@pytest.mark.parametrize("rank", [3, 400])
def test_equal_products_differ_by_nothing(rank):
    source = torch.Generator().manual_seed(0)
    up, down = torch.randn(20, rank, generator=source), torch.randn(rank, 33, generator=source)
    assert Thin(up, down).minus(Thin(up.clone(), down.clone())).square() == 0
    apart = Thin(up, down).minus(Thin(2 * up, down))
    assert apart.square() == pytest.approx(Thin(up, down).square(), rel=1e-12)

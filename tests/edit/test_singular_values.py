"""The errors of what is cut are those that the singular values say, whichever way they were found."""

import pytest
import torch

from scumble.edit.reduce import Size, fitted, reduced
from scumble.edit.svd import Thin, leading_spectrum, spectrum, spectrum_of_product

SHAPES = [(40, 40), (24, 90), (90, 24), (8, 100)]


def random_matrix(rows, columns, decay=0.0, seed=0):
    generator = torch.Generator().manual_seed(seed)
    count = min(rows, columns)
    left, right = (torch.randn(size, count, generator=generator) for size in (rows, columns))
    return (left * torch.arange(1, count + 1) ** -decay) @ right.t()


def smallest_error(matrix, rank):
    return float(torch.linalg.svdvals(matrix.double())[rank:].square().sum().sqrt())


@pytest.mark.parametrize("rank", [1, 5, 8])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_whole_matrix_is_cut_with_the_smallest_error_there_is(shape, rank):
    matrix = random_matrix(*shape)
    cut = spectrum(matrix).cut(rank)
    assert cut.rank == rank
    error = float((cut.up @ cut.down - matrix.double()).norm())
    assert error == pytest.approx(smallest_error(matrix, rank), rel=1e-9, abs=1e-6 * float(matrix.norm()))


@pytest.mark.parametrize("rank", [1, 4, 6])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_product_is_cut_like_the_whole_matrix(shape, rank):
    generator = torch.Generator().manual_seed(3)
    thin = Thin(torch.randn(shape[0], 6, generator=generator), torch.randn(6, shape[1], generator=generator))
    matrix = thin.up.double() @ thin.down.double()
    found = spectrum_of_product(thin)
    torch.testing.assert_close(found.values, torch.linalg.svdvals(matrix)[: len(found.values)], rtol=1e-10, atol=1e-9)
    cut = found.cut(rank)
    assert float((cut.up @ cut.down - matrix).norm()) == pytest.approx(smallest_error(matrix, rank), abs=1e-9)


@pytest.mark.parametrize("decay", [0.0, 0.5, 1.5])
@pytest.mark.parametrize("shape", [(400, 400), (320, 900), (900, 320)])
@pytest.mark.parametrize("rank", [4, 16])
def test_the_quick_way_is_within_a_thousandth_of_the_smallest_error(shape, decay, rank):
    matrix = random_matrix(*shape, decay)
    assert 2 * rank + 16 <= min(shape) // 3  # the quick way is taken
    found = leading_spectrum(matrix, rank, torch.Generator().manual_seed(0))
    assert len(found.values) == rank
    cut = found.cut(rank)
    error = float((cut.up.double() @ cut.down.double() - matrix).norm())
    assert error <= smallest_error(matrix, rank) * 1.001 + 1e-5 * float(matrix.norm())


def test_the_same_seed_gives_the_same_factors():
    matrix = random_matrix(400, 300)
    one, other = (fitted(matrix, Size(rank=4)) for _ in range(2))
    assert torch.equal(one.up, other.up)
    assert torch.equal(one.down, other.down)


@pytest.mark.parametrize("energy", [0.3, 0.9, 0.999, 1.0])
def test_an_energy_takes_the_smallest_rank_that_keeps_it(energy):
    matrix = random_matrix(60, 80, decay=0.7)
    squares = torch.linalg.svdvals(matrix.double()).square()
    rank = fitted(matrix, Size(energy=energy)).rank
    kept = squares.cumsum(0) / squares.sum()
    assert kept[rank - 1] >= energy - 1e-9
    assert rank == 1 or kept[rank - 2] < energy


def test_rank_and_energy_together_both_bound():
    matrix = random_matrix(60, 80)
    assert fitted(matrix, Size(rank=3, energy=0.99)).rank == 3
    assert fitted(matrix, Size(rank=60, energy=0.5)).rank < 30


def test_what_is_small_enough_stays_as_it_is():
    thin = Thin(torch.randn(20, 4), torch.randn(4, 30))
    assert reduced(thin, Size(rank=4)) is thin


def test_zeros_become_zeros_of_rank_one():
    for cut in (
        fitted(torch.zeros(20, 30), Size(energy=0.9)),
        reduced(Thin(torch.zeros(9, 3), torch.zeros(3, 9)), Size(2)),
    ):
        assert not cut.up.any()
        assert torch.isfinite(cut.down).all()


def test_squares_of_products_are_those_of_the_whole():
    one = Thin(torch.randn(20, 4), torch.randn(4, 30))
    near = Thin(one.up + 1e-7, one.down)
    other = Thin(torch.randn(20, 2), torch.randn(2, 30))
    for first, second in ((one, near), (one, other)):
        whole = first.up.double() @ first.down.double() - second.up.double() @ second.down.double()
        assert first.minus(second).square() == pytest.approx(float(whole.square().sum()), rel=1e-6)
    assert one.minus(one).square() == 0.0

"""Exponents of growth."""

import math

import pytest
from harness.growth import above, exponent


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0, 2.0])
def test_a_power_is_found_again(power):
    fit = exponent([(size, 3 * size**power) for size in (1, 2, 4, 100)])
    assert fit.exponent == pytest.approx(power)
    assert fit.factor == pytest.approx(3)
    assert fit.residual == pytest.approx(0, abs=1e-12)
    assert fit.at(50) == pytest.approx(3 * 50**power)


def test_the_residual_is_what_the_power_leaves():
    fit = exponent([(1, 1.1), (1, 1 / 1.1), (2, 2.2), (2, 2 / 1.1)])
    assert fit.exponent == pytest.approx(1)
    assert fit.residual == pytest.approx(math.log(1.1))
    assert str(fit) == "1.00 (residual 0.10)"


def test_a_constant_part_is_taken_off_first():
    points = [(size, 5 + 2.0 * size) for size in (1, 10, 100)]
    assert exponent(points).exponent < 0.9
    assert exponent(above(points, 5)).exponent == pytest.approx(1)
    with pytest.raises(ValueError, match="not below every value"):
        above(points, 7)


def test_one_size_has_no_exponent():
    with pytest.raises(ValueError, match="two sizes"):
        exponent([(2, 1.0), (2, 1.1)])

"""tfcompress.quantization.exact.fixed_point."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfcompress.quantization.exact.fixed_point import (
    Multiplier,
    divided,
    exponential,
    high_product,
    leading_zeros,
    reciprocal_of_one_and,
    round_half_away,
)

ONE = 2**31


def test_a_factor_is_a_mantissa_of_31_bits_and_a_power_of_two():
    half, three = Multiplier.of(0.5), Multiplier.of(3.0)
    assert (int(half.mantissa), int(half.exponent)) == (2**30, 0)  # 0.5 * 2**0
    assert (int(three.mantissa), int(three.exponent)) == (3 * 2**29, 2)  # 0.75 * 2**2
    almost = Multiplier.of(1.0 - 2.0**-40)  # rounds up to 1.0, whose mantissa is 0.5
    assert (int(almost.mantissa), int(almost.exponent)) == (2**30, 1)
    assert int(Multiplier.of(2.0**-40).mantissa) == 0


def test_a_factor_rounds_twice_ties_up_and_then_away_from_zero():
    values = np.array([5, 6, 7, -5, -6, -7])
    assert Multiplier.of(0.25)(values).tolist() == [2, 2, 2, -1, -2, -2]
    # 5 * 0.5 = 2.5 -> 3 (up), / 2 = 1.5 -> 2; -5 * 0.5 = -2.5 -> -2 (up), / 2 = -1


@given(st.integers(-(2**26), 2**26), st.floats(2**-20, 15.0))
def test_a_factor_multiplies_to_within_one(value, factor):
    got = int(Multiplier.of(factor)(np.array([value]))[0])
    assert abs(got - value * factor) <= 1.0


def test_dividing_by_powers_of_two_rounds_ties_away_from_zero():
    assert divided(np.array([1, 2, 3, -1, -2, -3, -4]), 1).tolist() == [1, 1, 2, -1, -1, -2, -2]
    assert divided(np.array([7, -7]), 0).tolist() == [7, -7]
    assert divided(np.array([3, -3]), np.array([1, 0])).tolist() == [2, -3]


def test_a_high_product_rounds_ties_up():
    assert high_product(np.array([3, -3]), 2**30).tolist() == [2, -1]


def test_floats_round_ties_away_from_zero():
    assert round_half_away(np.array([0.5, 1.5, -0.5, -1.5, 0.49])).tolist() == [1, 2, -1, -2, 0]


@pytest.mark.parametrize("value", [0.0, -0.01, -0.25, -0.3, -1.0, -2.75, -9.5, -15.9])
def test_the_exponential_is_right_to_seven_digits(value):
    got = int(exponential(np.array([round(value * 2**26)]), 5)[0])
    assert got / ONE == pytest.approx(math.exp(round(value * 2**26) / 2**26), abs=3e-7)


@pytest.mark.parametrize("value", [0.0, 0.1, 0.5, 0.999])
def test_the_reciprocal_is_right_to_seven_digits(value):
    got = int(reciprocal_of_one_and(np.array([round(value * ONE)]))[0])
    assert got / ONE == pytest.approx(1 / (1 + value), abs=3e-7)


def test_leading_zeros_are_of_32_bits():
    assert leading_zeros(np.array([1, 2, 3, 2**31 - 1, 2**30])).tolist() == [31, 30, 30, 1, 1]

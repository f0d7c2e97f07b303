"""tfcompress.quantization.exact.arithmetic: expectations as TFLite's 8-bit specification has them, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from tfcompress.quantization.exact import arithmetic
from tfcompress.quantization.exact.values import Grid, Held, Sums

QUARTERS, HALVES, ONES = Grid(0.25, 0), Grid(0.5, 10), Grid(1.0, -5)


def held(numbers, grid=QUARTERS):
    return Held(np.array(numbers, np.int64), grid)


def sums(*values, bias=0.0, largest=127.0, dense=False, channels=1, source=QUARTERS):
    shape = (channels,)
    return Sums(
        sums=np.array(values, np.int64).reshape(-1, channels),
        source=source,
        largest=np.full(shape, largest, np.float32),
        levels=127,
        bias=np.full(shape, bias, np.float32),
        bias_source=source.step,
        dense=dense,
    )


def test_a_range_becomes_a_grid_with_zero_on_it():
    assert Grid.of(0.0, 255.0) == Grid(1.0, -128)
    assert Grid.of(-1.0, 254.0) == Grid(1.0, -127)
    assert Grid.of(-1.4, 253.6) == Grid(1.0, -127)  # 1.4 steps below zero are one
    assert HALVES.numbers(np.array([0.0, 1.0, 100.0])).tolist() == [10, 12, 127]
    assert held([4, -2]).real.tolist() == [1.0, -0.5]


def test_an_activation_bounds_the_numbers():
    assert HALVES.limits(None) == (-128, 127)
    assert HALVES.limits((0.0, None)) == (10, 127)
    assert HALVES.limits((0.0, 6.0)) == (10, 10 + 12)


def test_sums_get_their_bias_and_then_their_scale():
    waiting = arithmetic.weighted(sums(6, 9, bias=0.5))  # the kernel's scale is 1, the bias 0.5 / 0.25 = 2 steps
    assert waiting.on(ONES).numbers.tolist() == [[2 - 5], [3 - 5]]  # 8 and 11 quarters: 2.0 and 2.75
    assert waiting.bounded((0.0, 2.0)).on(ONES).numbers.tolist() == [[-3], [-3]]


def test_a_dense_layer_rounds_once_and_a_convolution_twice():
    # 5 * 0.25 is 1.25; a convolution halves first (2.5 -> 3) and then again (1.5 -> 2)
    assert arithmetic.weighted(sums(5, 5, channels=2)).on(ONES).numbers.tolist() == [[2 - 5, 2 - 5]]
    assert arithmetic.weighted(sums(5, 5, channels=2, dense=True)).on(ONES).numbers.tolist() == [[1 - 5, 1 - 5]]


def test_a_channel_of_zeros_gives_its_bias():
    assert arithmetic.weighted(sums(0, bias=3.0, largest=0.0)).on(ONES).numbers.tolist() == [[3 - 5]]


def test_sums_and_differences_of_tensors_on_other_scales():
    first, second = held([4, 7]), held([12, 11], HALVES)  # 1, 1.75 and 1, 0.5
    assert arithmetic.added(first, second).on(QUARTERS).numbers.tolist() == [8, 9]
    assert arithmetic.added(first, second, sign=-1).on(QUARTERS).numbers.tolist() == [0, 5]


def test_products():
    assert arithmetic.multiplied(held([4, 8]), held([12, 11], HALVES)).on(QUARTERS).numbers.tolist() == [4, 4]


def test_means_over_axes_go_onto_a_scale_of_their_own():
    given = held(np.arange(16).reshape(1, 2, 2, 4))
    got = arithmetic.averaged(given, (1, 2), keep=True).on(QUARTERS)
    assert got.numbers.shape == (1, 1, 1, 4)
    assert got.numbers.reshape(-1).tolist() == [6, 7, 8, 9]


def test_average_pooling_rounds_stored_numbers_away_from_zero():
    totals, counts = np.array([3, -3, 5, -5, 254]), np.array(2)
    assert arithmetic.pooled(totals, counts, QUARTERS).numbers.tolist() == [2, -2, 3, -3, 127]


def test_slopes_below_zero():
    given = held([-8, 8])
    slope = held([2, 2])  # 0.5
    assert arithmetic.leaky(given, slope).on(QUARTERS).numbers.tolist() == [-4, 8]
    assert arithmetic.leaky_by(given, 0.25).on(QUARTERS).numbers.tolist() == [-2, 8]


def test_a_table_holds_the_function_at_every_number():
    got = arithmetic.looked_up(held([-128, 0, 127]), np.abs).on(QUARTERS)
    assert got.numbers.tolist() == [127, 0, 127]  # 32.0 is 128 steps, one too many


@pytest.mark.parametrize("scale", [0.02, 0.1])
def test_softmax_and_hard_swish_are_near_the_functions(scale):
    grid = Grid(scale, 3)
    given = Held(np.random.default_rng(0).integers(-128, 128, (50, 10)), grid)
    powers = np.exp(given.real - given.real.max(axis=-1, keepdims=True))
    expected = powers / powers.sum(axis=-1, keepdims=True)
    assert np.abs(arithmetic.softmax(given).real - expected).max() <= 1.01 / 256
    line = given.real * np.clip(given.real + 3, 0, 6) / 6
    got = arithmetic.hard_swish(given).on(Grid(scale, -100))
    inside = np.abs(got.numbers) < 127
    assert np.abs(got.real - line)[inside].max() <= 1.01 * scale

"""tfcompress.quantization.weight_fake_quant: where the grid of few bits ends."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfcompress.errors import UsageError
from tfcompress.quantization.weight_fake_quant import SHRINKING, WeightFakeQuant, least_squares_scale


@settings(max_examples=30)
@given(seed=st.integers(0, 10_000), largest=st.sampled_from([7.0, 127.0]))
def test_the_scale_of_least_squares_is_no_worse_than_that_of_the_largest_weight(seed: int, largest: float) -> None:
    draw = np.random.default_rng(seed)
    weights, importance = draw.standard_t(3, size=(64, 3)), draw.uniform(size=64)
    scale = least_squares_scale(weights, largest, importance)
    plain = np.abs(weights).max(axis=0) / largest
    assert (scale <= plain * (1 + 1e-12)).all()

    def error(step: np.ndarray) -> np.ndarray:
        return importance @ np.square(np.clip(np.round(weights / step), -largest, largest) * step - weights)

    assert (error(scale) <= error(plain) * (1 + 1e-9)).all()


@settings(max_examples=10)
@given(seed=st.integers(0, 10_000))
def test_a_grid_that_ends_early_costs_less_and_its_largest_value_is_still_its_end(seed: int) -> None:
    weights = np.random.default_rng(seed).standard_t(3, size=(3, 3, 4, 5)).astype(np.float32)
    plain, clipping = WeightFakeQuant(bits=4, axes=(3,)), WeightFakeQuant.clipping(weights, bits=4, axes=(3,))
    errors = [np.square(each.final(weights) - weights).sum() for each in (clipping, plain)]
    assert errors[0] <= errors[1]
    made = clipping.final(weights)
    np.testing.assert_allclose(made, clipping(weights), rtol=1e-5)
    np.testing.assert_allclose(plain.final(made), made, rtol=1e-5)  # whoever rounds it again finds the same


def test_the_end_is_trained_and_what_lies_far_beyond_it_stands_still() -> None:
    tf = pytest.importorskip("tensorflow")
    weights = tf.Variable([[0.1], [0.48], [-0.2], [3.0]])
    transform = WeightFakeQuant(bits=4, axes=(1,), clip=(1, 1))
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(transform(weights))
    for_weights, for_end = tape.gradient(loss, [weights, transform.end.value])
    assert np.asarray(for_weights).ravel().tolist() == [1.0, 1.0, 1.0, 0.0]
    # Steps of 1/7: 0.7, 3.36 and -1.4 become 1, 3 and -1; each gives what it is off, the last one the end itself.
    share = 1 / np.sqrt(7 * 4)
    off = (1 - 0.7) + (3 - 3.36) + (-1 + 1.4) + 7.0
    assert float(np.ravel(for_end)[0]) == pytest.approx(share * off / 7.0, rel=1e-4)


def test_without_an_end_of_its_own_nothing_is_fitted() -> None:
    transform = WeightFakeQuant(bits=4, axes=(1,))
    transform.fit_(np.ones((2, 2), np.float32))
    assert transform.weights == []
    assert WeightFakeQuant.from_config(transform.get_config()).clip is None


@settings(max_examples=30)
@given(
    seed=st.integers(0, 10_000),
    bits=st.sampled_from([4, 8]),
    axes=st.sampled_from([(), (0,), (2,), (1, 2)]),
    dead=st.booleans(),
)
def test_rounding_is_to_the_nearest_of_a_grid_that_ends_at_the_largest_weight(
    seed: int, bits: int, axes: tuple[int, ...], dead: bool
) -> None:
    weights = np.random.default_rng(seed).normal(size=(3, 4, 5)).astype(np.float32)
    if dead:
        weights[:, :, 2] = 0
    transform = WeightFakeQuant(bits=bits, axes=axes)
    made, largest = transform.final(weights), 2 ** (bits - 1) - 1
    others = tuple(axis for axis in range(3) if axis not in axes)
    bound = np.abs(weights).max(axis=others, keepdims=True)
    step = np.where(bound > 0, bound, 1.0) / largest
    assert np.abs(made - weights).max() <= 0.501 * step.max()
    assert (np.abs(made - weights) <= 0.501 * step).all()
    np.testing.assert_allclose(np.abs(made).max(axis=others, keepdims=True), bound, rtol=1e-5)
    np.testing.assert_allclose(made, np.asarray(transform(weights)), rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(transform.final(made), made, rtol=1e-5)
    assert len(np.unique(np.round(made / step))) <= 2 * largest + 1


@settings(max_examples=20)
@given(seed=st.integers(0, 10_000), outlier=st.floats(1.0, 100.0))
def test_the_scale_of_least_squares_is_that_of_brute_force_over_the_parts_it_tries(seed: int, outlier: float) -> None:
    weights = np.random.default_rng(seed).normal(size=(30, 1))
    weights[0] = outlier
    found = least_squares_scale(weights, 7.0)[0]
    bound = np.abs(weights).max()

    def error(scale: float) -> float:
        return float(np.square(np.clip(np.round(weights / scale), -7, 7) * scale - weights).sum())

    tried = [part * bound / 7 for part in SHRINKING]
    assert found in tried
    assert error(found) == min(error(scale) for scale in tried)


def test_channels_of_zeros_have_a_scale_and_stay_zero() -> None:
    assert least_squares_scale(np.zeros((4, 2)), 7.0).tolist() == [1 / 7, 1 / 7]
    weights = np.zeros((2, 2), np.float32)
    assert not WeightFakeQuant.clipping(weights, bits=4, axes=(1,)).final(weights).any()


def test_bits_that_no_kernel_has_are_refused() -> None:
    with pytest.raises(UsageError, match="WeightFakeQuant bits must be 4 or 8, got 16; choose one of them"):
        WeightFakeQuant(bits=16)

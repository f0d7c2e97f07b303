import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from tfcompress.weights.code_book import ClusterLookup
from tfcompress.weights.power_of_two import levels, scales
from tfcompress.weights.promises import distinct_values

tf = pytest.importorskip("tensorflow")


@pytest.mark.parametrize(("count", "positive"), [(3, [1]), (4, [1]), (5, [0.5, 1]), (8, [0.25, 0.5, 1])])
def test_values_are_zero_and_powers_of_two_of_either_sign(count, positive):
    assert levels(count).tolist() == [*(-np.array(positive[::-1])), 0, *positive]


@given(st.integers(0, 2**16), st.floats(0.01, 100), st.integers(3, 9))
def test_a_row_that_is_made_of_them_gets_its_own_scale(seed, scale, count):
    row = np.random.default_rng(seed).choice(levels(count), 30).astype(np.float64)
    row[0] = 1.0
    assert scales(row[None] * scale, count) == pytest.approx(np.array([[scale]]), rel=1e-5)


@given(st.integers(0, 2**16), st.integers(3, 9))
def test_the_scale_costs_no_more_than_the_largest_weight_would(seed, count):
    row = np.random.default_rng(seed).normal(size=50)
    unit = levels(count)

    def error(scale):
        return np.square(row[:, None] - scale * unit).min(axis=1).sum()

    assert error(scales(row[None], count)[0]) <= error(np.abs(row).max()) + 1e-5


def test_a_row_of_zeros_stays_that():
    assert (scales(np.zeros((2, 4)), 5) > 0).all()


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 2**16), st.sampled_from([None, -1]), st.booleans())
def test_a_lookup_trains_the_scale_alone(seed, axis, keep_zeros):
    weights = np.random.default_rng(seed).normal(size=(3, 2, 4)).astype(np.float32)
    made = ClusterLookup(
        6, channels=None if axis is None else 4, axis=axis or -1, keep_zeros=keep_zeros, scheme="power_of_two"
    )
    made.start_(made.placed(weights, "exact", 0))
    looked_up = np.asarray(made(weights))
    assert np.array_equal(looked_up, made.final(weights))
    assert distinct_values(looked_up, axis) <= 5
    scale = np.abs(looked_up).max(axis=None if axis is None else (0, 1))
    parts = np.unique(np.abs(looked_up / scale))
    assert np.isin(parts, [0, 0.5, 1]).all()
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(made(weights))
    assert (
        tape.gradient(total, made.centroids.value).shape == made.centroids.shape == ((1,) if axis is None else (4, 1))
    )

import hypothesis.extra.numpy as some
import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from tfcompress.errors import ModelError
from tfcompress.weights import kmeans

INITS = ["exact", "kmeans++", "linear", "density", "random"]
VALUES = some.arrays(np.float32, st.integers(1, 60), elements=st.floats(-4, 4, width=32))


@pytest.mark.parametrize("init", INITS)
def test_three_heaps_get_three_centroids(init):
    heaps = np.concatenate([np.full(10, -1.0), np.full(20, 0.5), np.full(5, 3.0)]) + np.linspace(0, 1e-3, 35)
    found = kmeans.centroids(heaps, 3, init, seed=0)
    assert found == pytest.approx([-1.0, 0.5, 3.0], abs=2e-3)


@given(VALUES, st.integers(1, 8), st.sampled_from(INITS))
def test_centroids_rise_and_snapping_leaves_no_more_values_than_asked(values, count, init):
    found = kmeans.centroids(values, count, init, seed=3)
    assert found.shape == (count,)
    assert np.isfinite(found).all()
    assert (np.diff(found) >= 0).all()
    snapped = kmeans.snapped(values, found)
    assert np.unique(snapped).size <= count
    assert np.abs(values - snapped) == pytest.approx(np.abs(values[:, None] - found).min(axis=1), abs=1e-5)


@given(VALUES, st.integers(2, 6))
def test_refining_never_makes_the_error_larger(values, count):
    start = np.linspace(values.min(), values.max(), count)
    before = ((values - kmeans.snapped(values, start)) ** 2).sum()
    after = ((values - kmeans.snapped(values, kmeans.refined(values, start))) ** 2).sum()
    assert after <= before + 1e-4


def test_no_more_values_than_centroids_are_kept_exactly():
    values = np.array([3.0, 1.0, 1.0, 3.0], np.float32)
    found = kmeans.centroids(values, 4, "kmeans++", seed=0)
    assert found.tolist() == [1.0, 3.0, 3.0, 3.0]
    assert kmeans.snapped(values, found).tolist() == values.tolist()


def test_the_seed_decides():
    values = np.random.default_rng(0).normal(size=500)
    first, again, other = (kmeans.plus_plus(np.sort(values), 5, np.random.default_rng(s)) for s in (1, 1, 2))
    assert first.tolist() == again.tolist() != other.tolist()


def test_channels_have_centroids_of_their_own_and_zeros_can_be_left_out():
    kernel = np.array([[0.0, 5.0], [1.0, 0.0], [3.0, 7.0]], np.float32)
    rising = kmeans.initial_centroids(kernel, 2, "linear", 0, axis=-1, skip_zeros=True)
    assert rising.tolist() == [[1.0, 3.0], [5.0, 7.0]]
    assert kmeans.snapped(kernel, rising, axis=-1).tolist() == [[1.0, 5.0], [1.0, 5.0], [3.0, 7.0]]
    assert kmeans.initial_centroids(np.zeros((3, 1)), 2, "linear", 0, axis=-1, skip_zeros=True).tolist() == [[0.0, 0.0]]


@pytest.mark.parametrize("axis", [None, -1])
@pytest.mark.parametrize("init", INITS)
def test_weights_that_are_not_finite_are_refused_in_a_line(init, axis):
    kernel = np.ones((3, 4), np.float32)
    kernel[0, 0] = np.nan
    with pytest.raises(ModelError, match=r"kernel of shape \(3, 4\) with weights that are not finite"):
        kmeans.initial_centroids(kernel, 2, init, 0, axis)

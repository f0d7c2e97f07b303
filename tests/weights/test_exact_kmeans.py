import itertools

import hypothesis.extra.numpy as some
import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from tfcompress.weights import exact_kmeans, kmeans
from tfcompress.weights.exact_kmeans import best_centroids

ROWS = some.arrays(
    np.float64,
    st.tuples(st.integers(1, 3), st.integers(1, 8)),
    elements=st.sampled_from(np.linspace(-2, 2, 9).tolist()),
)
REAL_ROWS = some.arrays(
    np.float64, st.tuples(st.integers(1, 3), st.integers(1, 8)), elements=st.floats(-4, 4, width=32)
)


def squared_error(values, centroids):
    return np.square(values[:, None] - centroids).min(axis=1).sum()


def least_error(values, count):
    """Try every partition of sorted values into runs."""
    rising = np.sort(values)
    cuts = itertools.combinations(range(1, len(rising)), min(count, len(rising)) - 1)
    return min(sum(np.square(run - run.mean()).sum() for run in np.split(rising, cut)) for cut in cuts)


@given(ROWS | REAL_ROWS, st.integers(1, 5))
def test_no_partition_has_a_smaller_error(rows, most):
    for count in range(1, most + 1):
        centroids = best_centroids(rows, count)
        assert centroids.shape == (len(rows), count)
        assert (np.diff(centroids, axis=1) >= 0).all()
        for row, own in zip(rows, centroids, strict=True):
            assert squared_error(row, own) == pytest.approx(least_error(row, count), abs=1e-5)


@given(ROWS, st.integers(1, 4))
def test_zeros_that_are_kept_apart_count_for_nothing(rows, most):
    for row in rows:
        kept = row[row != 0]
        (found,) = best_centroids(row[None], most, skip_zeros=True)
        expected = squared_error(kept, best_centroids(kept[None], most)[0]) if kept.size else 0.0
        # A run of zeros alone is a centroid at 0, which nothing but zeros is nearest to, or costs nothing.
        assert squared_error(kept, found) >= expected - 1e-5
        if not kept.size:
            assert not found.any()


def test_many_values_go_together_in_groups_and_are_refined(monkeypatch):
    values = np.random.default_rng(0).normal(size=600)
    exact = squared_error(values, kmeans.centroids(values, 6, "exact", 0))
    monkeypatch.setattr(exact_kmeans, "MOST_POINTS", 64)
    monkeypatch.setattr(kmeans, "MOST_POINTS", 64)
    grouped = squared_error(values, kmeans.centroids(values, 6, "exact", 0))
    assert exact - 1e-6 <= grouped <= 1.01 * exact


@given(st.integers(0, 2**16), st.integers(2, 6), st.sampled_from(["kmeans++", "linear", "density", "random"]))
def test_no_search_finds_less(seed, count, init):
    values = np.random.default_rng(seed).normal(size=40)
    by_search = squared_error(values, kmeans.centroids(values, count, init, seed))
    assert squared_error(values, kmeans.centroids(values, count, "exact", seed)) <= by_search + 1e-5


@pytest.mark.parametrize("skip_zeros", [False, True])
def test_channels_together_get_what_each_gets_alone(skip_zeros):
    kernel = np.random.default_rng(1).normal(size=(3, 3, 2, 5))
    kernel[np.abs(kernel) < 0.3] = 0.0
    together = kmeans.initial_centroids(kernel, 4, "exact", 0, -1, skip_zeros=skip_zeros)
    alone = [kmeans.initial_centroids(kernel[..., n], 4, "exact", 0, None, skip_zeros=skip_zeros) for n in range(5)]
    for n in range(5):
        kept = kernel[..., n][kernel[..., n] != 0] if skip_zeros else kernel[..., n].reshape(-1)
        assert squared_error(kept, together[n]) == pytest.approx(squared_error(kept, alone[n]), rel=1e-4)

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfcompress.low_rank.decompositions import (
    METHODS,
    Kernel,
    ProjectedKernel,
    best_factors,
    full_ranks,
    outlines,
)
from tfcompress.low_rank.factors import Factor, Values, as_matrix, composed, with_even_spread

shapes = st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(1, 5), st.integers(1, 6))
seeds = st.integers(0, 2**32 - 1)


def kernel_of(shape: tuple[int, ...], seed: int) -> tuple[Kernel, Kernel]:
    """Return a random kernel, as the samples judge it and as it is taken apart by them."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=shape)
    rows = rng.normal(size=(40, values[..., 0].size)) * rng.uniform(0.1, 3.0, values[..., 0].size)
    moments = rows.T @ rows / len(rows)
    return Kernel(values, moments), Kernel(values, moments + 0.01 * np.eye(len(moments)))


def lower(full: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(max(1, rank // 2) for rank in full)


@pytest.mark.parametrize("method", METHODS)
@given(shape=shapes, seed=seeds)
@settings(max_examples=10)
def test_at_full_rank_the_factors_are_the_kernel(method: str, shape: tuple[int, ...], seed: int) -> None:
    judged, fitted = kernel_of(shape, seed)
    for kernel in (Kernel(judged.values), fitted):
        factors = METHODS[method](kernel, full_ranks(method, shape))
        assert np.allclose(composed(factors), judged.values, atol=1e-5)


@pytest.mark.parametrize("method", METHODS)
@given(shape=shapes, seed=seeds)
@settings(max_examples=10)
def test_what_samples_show_never_makes_it_worse_on_them(method: str, shape: tuple[int, ...], seed: int) -> None:
    judged, fitted = kernel_of(shape, seed)
    plain = Kernel(judged.values)
    ranks = lower(full_ranks(method, shape))
    factors, lost = best_factors(judged, method, ranks, plain, fitted)
    assert lost <= judged.lost(METHODS[method](plain, ranks)) * (1 + 1e-9)
    assert lost == judged.lost(factors)


def test_samples_of_unlike_channels_make_every_method_better() -> None:
    judged, fitted = kernel_of((3, 3, 6, 8), 0)
    for method in METHODS:
        ranks = lower(full_ranks(method, judged.values.shape))
        plain = judged.lost(METHODS[method](Kernel(judged.values), ranks))
        assert best_factors(judged, method, ranks, Kernel(judged.values), fitted)[1] < 0.95 * plain, method


@given(seed=seeds, rank=st.integers(1, 5))
def test_svd_loses_the_energy_of_the_directions_that_it_drops(seed: int, rank: int) -> None:
    values = np.random.default_rng(seed).normal(size=(1, 1, 7, 6))
    kernel = Kernel(values)
    dropped = np.linalg.svd(values[0, 0], compute_uv=False)[rank:]
    assert kernel.lost(METHODS["svd"](kernel, (rank,))) == pytest.approx((dropped**2).sum())


@given(seed=seeds, rank=st.integers(1, 5))
def test_moments_of_outputs_are_enough_for_svd(seed: int, rank: int) -> None:
    judged, _ = kernel_of((1, 1, 7, 6), seed)
    matrix = judged.matrix
    projected = ProjectedKernel(judged.values, None, matrix.T @ judged.seen(matrix))
    factors = METHODS["svd"](projected, (rank,))
    assert projected.energy == pytest.approx(judged.energy)
    assert projected.lost(factors) == pytest.approx(judged.lost(factors), rel=1e-6, abs=1e-9 * judged.energy)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("shape", [(3, 2, 4, 5), (1, 3, 4, 5), (3, 1, 4, 5)])
def test_an_outline_is_what_the_factors_come_to(method: str, shape: tuple[int, ...]) -> None:
    ranks = lower(full_ranks(method, shape))
    factors = METHODS[method](Kernel(np.random.default_rng(0).normal(size=shape)), ranks)
    assert [(f.weights, f.windowed) for f in factors] == [tuple(part) for part in outlines(method, shape, ranks)]


@pytest.mark.parametrize("method", METHODS)
def test_an_even_spread_between_factors_changes_nothing_else(method: str) -> None:
    judged, fitted = kernel_of((3, 3, 6, 8), 1)
    factors = METHODS[method](fitted, lower(full_ranks(method, judged.values.shape)))
    even = with_even_spread(factors, judged.metric)
    assert np.allclose(composed(even), composed(factors), rtol=1e-12, atol=1e-12)
    first = as_matrix(in_window(even[0].kernel))
    spreads = np.sqrt((first * judged.seen(first)).sum(0))
    assert spreads.max() <= 2.0 * spreads.min()
    for before, after in zip(factors, even, strict=True):
        ratios = after.kernel[before.kernel != 0.0] / before.kernel[before.kernel != 0.0]
        assert np.array_equal(np.abs(np.frexp(ratios)[0]), np.full(ratios.shape, 0.5))  # powers of two round nothing


def in_window(kernel: Values) -> Values:
    grown = np.zeros((3, 3, *kernel.shape[2:]))
    rows, columns = (slice((3 - size) // 2, (3 - size) // 2 + size) for size in kernel.shape[:2])
    grown[rows, columns] = kernel
    return grown


def test_a_kernel_of_zeros_is_left_at_zero() -> None:
    for method in METHODS:
        kernel = Kernel(np.zeros((3, 3, 4, 4)))
        factors = with_even_spread(METHODS[method](kernel, lower(full_ranks(method, (3, 3, 4, 4)))), None)
        assert not composed(factors).any()


def test_a_depthwise_factor_is_a_diagonal() -> None:
    factor = Factor(np.arange(6.0).reshape(3, 1, 2, 1), (True, False), depthwise=True)
    assert factor.outputs == 2
    assert factor.whole_kernel()[1, 0].tolist() == [[2.0, 0.0], [0.0, 3.0]]

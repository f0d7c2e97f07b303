"""Factors in a row and the kernel that they make, written out."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfcompress.low_rank.decompositions import METHODS, Kernel, full_ranks, outlines
from tfcompress.low_rank.factors import Factor, as_matrix, composed, with_even_spread

seeds = st.integers(0, 2**32 - 1)


@st.composite
def rows_of_factors(draw: st.DrawFn) -> list[Factor]:
    """Draw factors in a row, at most one of which has a window along each axis."""
    generator = np.random.default_rng(draw(seeds))
    count = draw(st.integers(1, 4))
    with_rows, with_columns = (draw(st.integers(0, count - 1)) for _ in range(2))
    channels = draw(st.integers(1, 3))
    found = []
    for place in range(count):
        window = (draw(st.integers(1, 3)) if place == with_rows else 1, 1)
        window = (window[0], draw(st.integers(1, 3)) if place == with_columns else 1)
        if draw(st.booleans()) and place:
            kernel, depthwise = generator.normal(size=(*window, channels, 1)), True
        else:
            outputs = draw(st.integers(1, 3))
            kernel, depthwise = generator.normal(size=(*window, channels, outputs)), False
            channels = outputs
        found.append(Factor(kernel, (place == with_rows, place == with_columns), depthwise))
    return found


def convolved(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Return a convolution without padding, place by place."""
    rows, columns = kernel.shape[:2]
    height, width = image.shape[0] - rows + 1, image.shape[1] - columns + 1
    out = np.zeros((height, width, kernel.shape[3]))
    for i in range(rows):
        for j in range(columns):
            out += image[i : i + height, j : j + width] @ kernel[i, j]
    return out


@settings(max_examples=60)
@given(rows_of_factors())
def test_a_row_of_factors_computes_what_its_one_kernel_computes(factors: list[Factor]) -> None:
    image = np.random.default_rng(0).normal(size=(4, 5, factors[0].kernel.shape[2]))
    step = image
    for factor in factors:
        step = convolved(step, factor.whole_kernel())
    np.testing.assert_allclose(convolved(image, composed(factors)), step, rtol=1e-9, atol=1e-9)
    even = with_even_spread(factors, None)
    np.testing.assert_allclose(composed(even), composed(factors), rtol=1e-12, atol=1e-12)
    assert [each.windowed for each in even] == [each.windowed for each in factors]
    assert sum(each.weights for each in factors) == sum(each.kernel.size for each in factors)


@settings(max_examples=40)
@given(
    method=st.sampled_from(["svd", "spatial", "tucker"]),
    shape=st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(1, 4), st.integers(1, 5)),
    seed=seeds,
    aware=st.booleans(),
)
def test_more_rank_never_loses_more(method: str, shape: tuple[int, ...], seed: int, aware: bool) -> None:
    draw = np.random.default_rng(seed)
    values = draw.normal(size=shape)
    numbers = values[..., 0].size
    rows = draw.normal(size=(3 * numbers, numbers)) * draw.uniform(0.1, 3.0, numbers)
    kernel = Kernel(values, rows.T @ rows / len(rows) if aware else None)
    full = full_ranks(method, shape)
    ranks = [(rank, *full[1:]) for rank in range(1, full[0] + 1)]
    losses = [kernel.lost(METHODS[method](kernel, each)) for each in ranks]
    slack = 1e-7 * kernel.energy
    assert all(after <= before + slack for before, after in itertools.pairwise(losses))
    assert losses[-1] <= 1e-6 * kernel.energy
    assert all(0.0 <= loss <= kernel.energy * (1 + 1e-9) + slack for loss in losses)


@settings(max_examples=30)
@given(seed=seeds, rank=st.integers(1, 4), inputs=st.integers(1, 6), outputs=st.integers(1, 6))
def test_nothing_of_its_rank_is_nearer_than_svd_in_the_metric(seed: int, rank: int, inputs: int, outputs: int) -> None:
    """Eckart and Young: neither plain truncation nor factors drawn at random and fitted come nearer."""
    draw = np.random.default_rng(seed)
    rank = min(rank, inputs, outputs)
    values = draw.normal(size=(1, 1, inputs, outputs))
    rows = draw.normal(size=(50, inputs)) * draw.uniform(0.1, 5.0, inputs)
    kernel = Kernel(values, rows.T @ rows / 50)
    lost = kernel.lost(METHODS["svd"](kernel, (rank,)))
    left, sizes, right = np.linalg.svd(values[0, 0], full_matrices=False)
    plain = (left[:, :rank] * sizes[:rank]) @ right[:rank]
    basis = draw.normal(size=(inputs, rank))
    fitted = basis @ np.linalg.lstsq(rows @ basis, rows @ values[0, 0], rcond=None)[0]
    for other in (plain, fitted):
        off = rows @ (other - values[0, 0])
        assert lost <= (off**2).sum() / 50 * (1 + 1e-9) + 1e-9


@pytest.mark.parametrize(
    ("method", "shape", "ranks", "weights"),
    [
        ("svd", (3, 3, 8, 4), (2,), [3 * 3 * 8 * 2, 2 * 4]),
        ("spatial", (3, 2, 8, 4), (5,), [3 * 8 * 5, 2 * 5 * 4]),
        ("tucker", (3, 3, 8, 4), (5, 2), [8 * 5, 3 * 3 * 5 * 2, 2 * 4]),
        ("cp", (3, 3, 8, 4), (6,), [8 * 6, 3 * 6, 3 * 6, 6 * 4]),
        ("cp", (1, 3, 8, 4), (6,), [8 * 6, 3 * 6, 6 * 4]),
        ("cp", (1, 1, 8, 4), (3,), [8 * 3, 3 * 4]),
    ],
)
def test_weights_of_factors_by_hand(
    method: str, shape: tuple[int, ...], ranks: tuple[int, ...], weights: list[int]
) -> None:
    factors = METHODS[method](Kernel(np.random.default_rng(0).normal(size=shape)), ranks)
    assert [factor.weights for factor in factors] == weights
    assert [part.weights for part in outlines(method, shape, ranks)] == weights
    assert composed(factors).shape == shape


def test_a_kernel_as_a_matrix_multiplies_patches() -> None:
    kernel = np.random.default_rng(0).normal(size=(2, 3, 4, 5))
    patch = np.random.default_rng(1).normal(size=(2, 3, 4))
    np.testing.assert_allclose(patch.reshape(-1) @ as_matrix(kernel), np.einsum("abc,abco->o", patch, kernel))

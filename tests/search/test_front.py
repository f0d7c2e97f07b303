"""Pareto fronts, their volume, and ranks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfcompress.search.front import dominates, front_of, hypervolume, rank_correlation

POINTS = st.lists(st.tuples(*[st.integers(0, 6)] * 3), min_size=1, max_size=8)


@given(POINTS)
def test_everything_is_on_the_front_or_beaten_by_what_is(points: list[tuple[int, ...]]) -> None:
    front = front_of(points, lambda point: point)
    assert len(set(front)) == len(front)
    assert not any(dominates(one, other) for one in front for other in front)
    assert all(point in front or any(dominates(one, point) for one in front) for point in points)


@given(POINTS)
def test_the_volume_is_the_count_of_unit_cells_that_a_point_covers(points: list[tuple[int, ...]]) -> None:
    reference = (7, 7, 7)
    cells = np.zeros(reference, bool)
    for x, y, z in points:
        cells[x:, y:, z:] = True
    assert hypervolume(points, reference) == cells.sum()


def test_a_point_beyond_the_reference_counts_for_nothing() -> None:
    assert hypervolume([(8.0, 0.0)], (7.0, 7.0)) == 0.0


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ((1, 2, 3, 4), (10, 20, 30, 45), 1.0),
        ((1, 2, 3, 4), (4, 3, 2, 1), -1.0),
        ((1, 2, 2, 3), (1, 2, 2, 3), 1.0),
        ((1, 1, 1, 1), (1, 2, 3, 4), None),
        ((1, 2, 3, 4, 5), (2, 1, 4, 3, 5), 0.8),  # 1 - 6 * (1 + 1 + 1 + 1) / (5 * 24)
    ],
)
def test_spearman(one: tuple[float, ...], other: tuple[float, ...], expected: float | None) -> None:
    assert rank_correlation(one, other) == (None if expected is None else pytest.approx(expected))

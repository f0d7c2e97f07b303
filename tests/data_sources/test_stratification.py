from __future__ import annotations

from itertools import combinations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tfcompress.data import stratification


def lacking(marks: np.ndarray, drawn: np.ndarray) -> int:
    """Return how many marks that occur twice are in one part alone."""
    counts, taken = marks.sum(axis=0), marks[drawn].sum(axis=0)
    return int(((counts >= 2) & ((taken == 0) | (taken == counts))).sum())


@settings(max_examples=60)
@given(st.integers(3, 9), st.integers(1, 4), st.integers(0, 10_000))
def test_every_mark_is_in_both_parts_where_any_draw_could_do_that(samples: int, marks: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    given_ = rng.random((samples, marks)) < rng.random(marks)
    held = int(rng.integers(1, samples))
    drawn = stratification.of_marks(given_, held, rng)
    assert drawn.sum() == held
    draws = (np.isin(np.arange(samples), chosen) for chosen in combinations(range(samples), held))
    if any(lacking(given_, draw) == 0 for draw in draws):
        assert lacking(given_, drawn) == 0


def test_common_marks_are_drawn_by_their_share() -> None:
    rng = np.random.default_rng(0)
    marks = rng.random((5_000, 20)) < rng.uniform(0.02, 0.5, 20)
    drawn = stratification.of_marks(marks, 1_000, rng)
    assert np.abs(marks[drawn].mean(axis=0) - marks.mean(axis=0)).max() < 0.03


def test_samples_without_any_mark_are_drawn_too() -> None:
    drawn = stratification.of_marks(np.zeros((10, 3), bool), 4, np.random.default_rng(0))
    assert drawn.sum() == 4

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edge_runner.scorers import RegressionScorer
from edge_runner.spread import Spread

LABELS = hnp.arrays(np.float64, st.tuples(st.integers(1, 9), st.integers(1, 3)), elements=st.integers(-50, 50))


@given(LABELS, st.integers(1, 9))
def test_it_is_the_sum_of_squared_distances_from_the_means(labels, batch):
    spread = Spread()
    for start in range(0, len(labels), batch):
        spread.add(labels[start : start + batch])
    assert spread.total == pytest.approx(np.square(labels - labels.mean(axis=0)).sum(), abs=1e-9)


def test_sums_do_not_depend_on_the_batches_and_large_labels_lose_nothing():
    labels = 1e7 + np.random.default_rng(0).normal(size=(500, 1))
    totals = set()
    for batch in (1, 7, 500):
        spread = Spread()
        for start in range(0, 500, batch):
            spread.add(labels[start : start + batch])
        totals.add(spread.total)
    assert len(totals) == 1
    assert totals.pop() == pytest.approx(np.square(labels - labels.mean()).sum(), rel=1e-6)


def test_samples_of_several_sizes_have_none():
    spread = Spread()
    spread.add(np.zeros((2, 3)))
    spread.add(np.zeros((2, 2)))
    assert spread.total is None
    assert Spread().total is None


def test_a_regression_is_told_what_it_explains_and_its_largest_error():
    scorer = RegressionScorer()
    scorer.add(np.array([[1.0], [3.0]]), np.array([[1.0], [2.0]]))
    scorer.add(np.array([[5.0]]), np.array([[5.5]]))
    result = scorer.result()
    assert result["r2"] == 1 - (1 + 0.25) / (4 + 0 + 4)
    assert result["largest_error"] == 1.0


def test_labels_that_do_not_vary_leave_nothing_to_explain():
    scorer = RegressionScorer()
    scorer.add(np.ones((3, 1)), np.zeros((3, 1)))
    assert (scorer.result()["r2"], scorer.result()["mae"]) == (None, 1)

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runner.ratios import Ratios

COUNTS = st.lists(
    st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=3, max_size=3), min_size=1, max_size=12
)


def of(samples, weights=None):
    parts, more = np.moveaxis(np.array(samples), -1, 0)
    ratios = Ratios(3, each=True)
    ratios.add(parts, parts + more)
    return ratios, parts, parts + more


@given(COUNTS)
def test_the_outcomes_are_the_mean_and_the_slope_of_each_samples_weight(samples):
    ratios, parts, wholes = of(samples)
    if ratios.mean is None:
        assert not wholes.any()
        return
    there = wholes.sum(axis=0) > 0

    def weighted(weights):
        a, d = (weights @ counts[:, there] for counts in (parts, wholes))
        return (a / d).mean()

    assert ratios.mean == pytest.approx(weighted(np.ones(len(samples))))
    assert ratios.outcomes.mean() == pytest.approx(ratios.mean)
    for place in range(len(samples)):
        step = 1e-4 * np.eye(len(samples))[place]
        slope = (weighted(1 + step) - weighted(1 - step)) / 2e-4
        assert ratios.outcomes[place] - ratios.mean == pytest.approx(len(samples) * slope, abs=1e-5)


def test_their_standard_error_is_that_of_drawing_samples_again():
    rng = np.random.default_rng(0)
    parts = 2 * rng.integers(0, 2, (300, 3))
    wholes = parts + rng.integers(0, 2, (300, 3))
    ratios = Ratios(3, each=True)
    ratios.add(parts, wholes)
    drawn = [rng.integers(0, 300, 300) for _ in range(800)]
    again = [(parts[rows].sum(axis=0) / wholes[rows].sum(axis=0)).mean() for rows in drawn]
    assert ratios.outcomes.std(ddof=1) / np.sqrt(300) == pytest.approx(np.std(again), rel=0.1)


def test_counts_that_were_not_kept_have_no_outcomes():
    with pytest.raises(ValueError, match="counts of each sample were not kept; give each=True"):
        Ratios(3).outcomes  # noqa: B018  # a property is read for what it raises
    assert (Ratios(3).mean, Ratios(3).together) == (None, None)

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edge_runner.distinct import MOST, DistinctValues
from edge_runner.scorers import RegressionScorer

OUTPUTS = hnp.arrays(
    np.float32, st.tuples(st.integers(1, 9), st.integers(1, 4), st.integers(1, 3)), elements=st.integers(-3, 3)
)


def counted(outputs: np.ndarray, batch: int) -> int | None:
    distinct = DistinctValues()
    for start in range(0, len(outputs), batch):
        distinct.add(outputs[start : start + batch])
    return distinct.fewest


@given(OUTPUTS, st.integers(1, 9))
def test_it_is_the_channel_with_the_fewest_whatever_the_batches(outputs: np.ndarray, batch: int) -> None:
    assert counted(outputs, batch) == min(len(set(outputs[..., place].ravel())) for place in range(outputs.shape[-1]))


@pytest.mark.parametrize(("count", "found"), [(MOST, MOST), (MOST + 1, None)])
def test_more_than_can_be_told_apart_are_none(count: int, found: int | None) -> None:
    assert counted(np.arange(count, dtype=np.float32)[:, None], 1000) == found
    both = np.stack([np.arange(count), np.arange(count) % 7], axis=1).astype(np.float32)
    assert counted(both, 1000) == 7  # one channel beyond the limit leaves the other


def test_nothing_is_known_of_very_many_channels_other_widths_and_no_samples() -> None:
    assert counted(np.zeros((3, 65), np.float32), 2) is None
    assert DistinctValues().fewest is None
    several = DistinctValues()
    several.add(np.zeros((2, 3)))
    several.add(np.zeros((2, 2)))
    several.add(np.zeros((2, 3)))
    assert several.fewest is None


def test_a_regression_is_told_how_many_values_it_gives() -> None:
    scorer = RegressionScorer()
    scorer.add(np.zeros((3, 1)), np.array([[0.5], [0.25], [0.5]]))
    assert scorer.result()["distinct"] == 2

"""Values counted before and after, in the same bins."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tfcompress.gallery.value_counts import value_counts

arrays = hnp.arrays(
    np.float32, hnp.array_shapes(max_dims=3, max_side=6), elements=st.floats(-1e6, 1e6, width=32)
)  # fmt: skip


@given(arrays, arrays)
@settings(max_examples=40)
def test_every_value_is_counted_once_between_the_ends_of_both(before: np.ndarray, after: np.ndarray) -> None:
    found = value_counts("conv", before, after, 7)
    assert (sum(found.before), sum(found.after)) == (before.size, after.size)
    assert len(found.before) == len(found.after)
    assert found.low <= min(before.min(), after.min())
    assert max(before.max(), after.max()) <= found.high
    assert found.low < found.high
    assert (found.zeros_before, found.zeros_after) == (np.mean(before == 0), np.mean(after == 0))
    assert (found.grid, found.beyond) == (None, None)


@pytest.mark.parametrize(("grid", "beyond"), [((0.0, 3.0), 0.25), ((-1.0, 5.0), 0.0), ((1.5, 2.5), 0.75)])
def test_what_lies_beyond_the_numbers_of_the_file_is_a_part_of_the_values_before(
    grid: tuple[float, float], beyond: float
) -> None:
    found = value_counts("conv", np.array([0.5, 1.0, 2.0, 4.0]), np.array([9.0]), None, grid)
    assert (found.grid, found.beyond) == (grid, beyond)

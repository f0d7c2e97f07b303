"""tfcompress.tflite.shares."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfcompress.tflite.shares import HELD_BACK, shares


class Numbers:
    """A source whose samples are their numbers, in rising order, as those of a data set come."""

    def __init__(self, total: int) -> None:
        self.total = total

    def representative(self, count: int, seed: int) -> dict[str, np.ndarray]:
        return {"x": np.arange(min(count, self.total))}


@given(total=st.integers(1, 800), calibration=st.integers(1, 300), hold_back=st.booleans())
def test_what_is_held_back_was_not_calibrated_on(total: int, calibration: int, hold_back: bool) -> None:
    found = shares(Numbers(total), 0, calibration=calibration, compared=256, hold_back=hold_back)
    used, held, compared = (set(part["x"]) for part in (found.calibration, found.held_back, found.compared))
    assert not used & held
    assert 1 <= len(used) <= calibration
    assert len(held) <= HELD_BACK
    assert compared
    if total >= calibration + HELD_BACK + 256:
        assert (len(used), len(held), len(compared)) == (calibration, HELD_BACK, 256)
        assert not compared & (used | held)
    if not hold_back:
        assert len(used) == min(calibration, total)
    elif total >= 4:
        assert held


def test_data_in_the_order_of_their_classes_calibrate_with_all_of_them() -> None:
    used = shares(Numbers(1000), 0, calibration=200, compared=256).calibration["x"]
    assert used.max() - used.min() > 400
    assert len(set(used)) == 200


@pytest.mark.parametrize("hold_back", [True, False])
def test_ample_samples_are_shared_out_alike_whether_any_must_be_held_back(hold_back: bool) -> None:
    found = shares(Numbers(1000), 7, calibration=50, compared=10, hold_back=hold_back)
    assert np.array_equal(
        found.calibration["x"], shares(Numbers(1000), 7, calibration=50, compared=10).calibration["x"]
    )

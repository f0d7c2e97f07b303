"""Counts and moments of a tensor against a layer."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("keras")

from tfcompress.diagnosis.tensor_statistics import TensorStatistics
from tfcompress.tflite.agreement import CAP_DB
from tfcompress.tflite.tensors import StoredTensor


def stored(dtype: str = "int8", scale: float = 0.5, zero: int = -128) -> StoredTensor:
    scales, points = ((scale,), (zero,)) if scale else ((), ())
    return StoredTensor(0, "", (1, 2), (1, 2), dtype, scales, points, 0, 0, np.zeros(0, np.uint8), False, False)


def test_the_figures_are_those_of_the_grid_and_of_the_layer() -> None:
    told = TensorStatistics(stored())
    layer = np.array([[0.0, 10.0], [4.0, 200.0]], "float32")
    told.add(np.array([[0.0, 10.0], [4.0, 127.5]], "float32"), layer)
    assert told.grid == (0.0, 127.5)
    assert told.clipped == 1 / 4
    assert told.reached == (0.0, 200.0)
    assert told.used == 1.0
    assert told.distinct == 4
    spread = (np.var([0, 4]) + np.var([10, 200])) / 2
    assert told.snr_db == pytest.approx(10 * np.log10(spread / (72.5**2 / 4)))


@given(st.integers(1, 5), st.integers(0, 10))
def test_pieces_add_up_to_the_whole(parts: int, seed: int) -> None:
    layer = np.random.default_rng(seed).normal(20, 5, (15, 3)).astype("float32")
    values = np.clip(np.rint(layer * 2), 0, 255).astype("float32") / 2
    one, many = TensorStatistics(stored()), TensorStatistics(stored())
    one.add(values, layer)
    for piece in np.array_split(np.arange(15), parts):
        many.add(values[piece], layer[piece])
    assert many.snr_db == pytest.approx(one.snr_db)
    assert (many.clipped, many.used, many.distinct, many.reached) == (one.clipped, one.used, one.distinct, one.reached)


def test_without_a_grid_or_a_layer_there_are_no_figures() -> None:
    told = TensorStatistics(stored("float32", scale=0))
    told.add(np.ones((2, 2), "float32"), None)
    assert (told.grid, told.snr_db, told.clipped, told.used, told.distinct, told.reached) == (None,) * 6


def test_equal_values_are_capped_and_what_never_varies_has_no_ratio() -> None:
    told, constant = TensorStatistics(stored()), TensorStatistics(stored())
    told.add(np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[1.0, 2.0], [3.0, 4.0]]))
    constant.add(np.ones((2, 2)), np.ones((2, 2)))
    assert told.snr_db == CAP_DB
    assert constant.snr_db is None

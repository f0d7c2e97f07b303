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


@pytest.mark.parametrize("spoilt", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_is_the_worst_ratio_and_no_perfect_one(spoilt: float) -> None:
    told = TensorStatistics(stored("float32", scale=0))
    told.add(np.array([[1.0, spoilt], [3.0, 5.0]]), np.array([[1.0, 2.0], [3.0, 5.0]]))
    assert told.snr_db == -CAP_DB
    told.add(np.array([[1.0, 2.0]]), np.array([[1.0, 2.0]]))
    assert told.snr_db == -CAP_DB, "later samples do not mend it"


def test_a_layer_that_gives_no_numbers_itself_has_no_ratio() -> None:
    told = TensorStatistics(stored("float32", scale=0))
    told.add(np.ones((2, 2)), np.array([[1.0, np.nan], [3.0, 5.0]]))
    assert told.snr_db is None


@given(st.integers(0, 10), st.sampled_from(["int8", "uint8", "int16"]), st.floats(0.01, 2.0))
def test_every_stored_number_is_counted_once_on_any_grid(seed: int, dtype: str, scale: float) -> None:
    limits = np.iinfo(dtype)
    draw = np.random.default_rng(seed)
    zero = int(draw.integers(limits.min, limits.max + 1))
    numbers = draw.integers(limits.min, limits.max + 1, (6, 2))
    told = TensorStatistics(stored(dtype, scale, zero))
    told.add(((numbers - zero) * np.float32(scale)).astype("float32"), None)
    assert told.distinct == len(np.unique(numbers))
    assert told.used == (numbers.max() - numbers.min()) / (limits.max - limits.min)
    assert told.grid == ((limits.min - zero) * scale, (limits.max - zero) * scale)
    assert (told.clipped, told.reached, told.snr_db) == (None, None, None), "no layer was given"


@given(st.floats(0.5, 30.0), st.integers(0, 20))
def test_the_ratio_is_that_of_the_noise_and_does_not_see_where_channels_lie(wanted_db: float, seed: int) -> None:
    draw = np.random.default_rng(seed)
    layer = draw.normal(size=(4000, 3))
    noise = draw.normal(size=layer.shape)
    noise *= np.sqrt(layer.var(axis=0).mean() / np.mean(noise**2)) * 10 ** (-wanted_db / 20)
    for offset in (0.0, np.array([5.0, -100.0, 30.0])):
        told = TensorStatistics(stored("float32", scale=0))
        told.add(layer + offset + noise, layer + offset)
        assert told.snr_db == pytest.approx(wanted_db, abs=1e-6)


def test_half_a_step_beyond_the_grid_is_rounding_and_more_is_clipped() -> None:
    told = TensorStatistics(stored())  # from 0 to 127.5 in steps of 0.5
    told.add(np.array([[127.5, 0.0, 0.0, 127.5]]), np.array([[127.74, -0.24, -0.26, 127.76]]))
    assert told.clipped == 2 / 4

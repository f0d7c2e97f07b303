"""tfcompress.tflite.drawing: samples for an export, and what is none."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tfcompress.errors import DataError
from tfcompress.tflite.drawing import samples_of

ROWS = np.arange(12, dtype=np.float32).reshape(4, 3)


@pytest.fixture(scope="module")
def one(keras) -> Any:
    x = keras.Input((3,), name="x")
    return keras.Model(x, keras.layers.Dense(2)(x))


@pytest.fixture(scope="module")
def two(keras) -> Any:
    a, b = keras.Input((3,), name="a"), keras.Input((3,), dtype="int32", name="b")
    return keras.Model([a, b], keras.layers.Dense(2)(a + keras.ops.cast(b, "float32")))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (ROWS.astype(str), r"input 'x' takes numbers of float32, which these samples are not \(they are <U32\)"),
        (np.full((4, 3), "red", object), r"could not convert string to float: 'red'\); give them as the model takes"),
        (ROWS.astype("complex64"), r"these samples are not \(they are complex64\)"),
        (ROWS.astype("datetime64[s]"), r"these samples are not \(they are datetime64\[s\]\)"),
        ({"x": [[1.0] * 3, [2.0] * 2]}, "inhomogeneous shape"),
        (np.where(ROWS == 7, np.inf, ROWS), "input 'x' holds NaN or Inf at sample 2; leave such samples out"),
        (np.where(ROWS == 7, np.nan, ROWS), "input 'x' holds NaN or Inf at sample 2"),
        (np.float32(3), "input 'x' needs an array with an axis of samples, got array"),
        ({"x": None}, "input 'x' needs an array with an axis of samples, got None"),
    ],
)
def test_what_is_no_sample_is_refused_before_the_converter_sees_it(one: Any, data: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        samples_of(data, one).representative(4, 0)  # type: ignore[union-attr]  # there is data


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ((ROWS, ROWS), r"a tuple of two is samples and their labels; give .* as a list, or as a dict by name \(a, b\)"),
        ({"a": ROWS, "b": ROWS + 0.5}, r"input 'b' takes whole numbers of int32, got \d+\.5"),
    ],
)
def test_two_inputs_are_told_apart_from_samples_and_labels(two: Any, data: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        samples_of(data, two).representative(4, 0)  # type: ignore[union-attr]  # there is data


@pytest.mark.parametrize("dtype", [np.float64, np.float16, bool, object])
def test_numbers_of_any_kind_are_cast(one: Any, dtype: Any) -> None:
    drawn = samples_of(ROWS.astype(dtype), one).representative(4, 0)["x"]  # type: ignore[union-attr]  # there is data
    assert drawn.dtype == np.float32
    assert sorted(drawn.reshape(-1)) == sorted(ROWS.astype(dtype).astype(np.float32).reshape(-1))

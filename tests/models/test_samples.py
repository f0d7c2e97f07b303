import numpy as np
import pytest

from tfcompress.errors import DataError
from tfcompress.models.samples import by_input_name
from tfcompress.models.specs import TensorSpec

PICTURE, IDS = TensorSpec("picture", (8, None, 3), "float32"), TensorSpec("ids", (4,), "int32")


def test_arrays_come_in_the_order_of_the_inputs_neither_cast_nor_copied():
    given = {"ids": np.zeros((2, 4), np.int64), "picture": np.zeros((2, 8, 5, 3), np.float64)}
    found = by_input_name(given, [PICTURE, IDS])
    assert list(found) == ["picture", "ids"]
    assert all(found[name] is given[name] for name in given)


def test_a_single_array_is_that_of_the_one_input():
    array = np.zeros((2, 4), np.int32)
    assert by_input_name(array, [IDS])["ids"] is array


def both(count, width=5, ids=int):
    return {"picture": np.zeros((count, 8, width, 3)), "ids": np.zeros((count, 4), ids)}


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"picture": np.zeros((1, 8, 5, 3))}, "samples must be named picture, ids, got picture"),
        (np.zeros((1, 8, 5, 3)), "samples must be named picture, ids, got picture"),
        ({}, "samples must be named picture, ids, got none"),
        (both(1) | {"more": np.zeros((1, 2))}, "samples must be named picture, ids, got picture, ids, more"),
        (both(1) | {"picture": np.zeros((1, 8, 5))}, r"must have the shape \(samples, 8, any, 3\), got \(1, 8, 5\)"),
        (both(1) | {"picture": np.zeros(())}, r"'picture' must have the shape \(samples, 8, any, 3\), got \(\)"),
        (both(1, ids=float), r"input 'ids' must hold whole numbers \(int32\), got float64"),
        (both(1) | {"ids": np.zeros((2, 4), int)}, "samples must hold the same number of samples, got"),
        (both(0), "samples must hold at least one sample, got none"),
    ],
)
def test_arrays_that_are_not_the_models_are_refused(arrays, message):
    with pytest.raises(DataError, match=message):
        by_input_name(arrays, [PICTURE, IDS], what="samples")

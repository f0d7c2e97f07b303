from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tfcompress.data.arrays import ArraySplit, flattened, splits_of
from tfcompress.data.elements import as_array
from tfcompress.data.ondisk import InMemory
from tfcompress.errors import DataError


def opened(**arrays: Any) -> dict[str, Any]:
    return splits_of(flattened(arrays), "d.npz")


def test_arrays_become_splits_by_their_names() -> None:
    splits = opened(
        x_train=np.ones(3), y_train=np.ones(3), x_test=np.ones(2), y_test=np.ones(2), x_val=[1.0], other=[7]
    )
    assert {name: split.size for name, split in splits.items()} == {"train": 3, "test": 2, "val": 1}
    assert splits["val"].labels(np.arange(1)) is None


def test_x_and_y_alone_are_one_split() -> None:
    x, y, _ = opened(x=[[1.0], [2.0]], y=[0, 1])["all"].read(np.array([1, 0]))
    assert x[""].tolist() == [[2.0], [1.0]]
    assert y.tolist() == [1, 0]


def test_dots_name_inputs_and_outputs() -> None:
    split = opened(**{"x_train.a": [1, 2], "x_train.b": [3, 4], "y_train.kind": [0, 1], "y_train.size": [5.0, 6.0]})[
        "train"
    ]
    x, y, _ = split.read(np.array([1]))
    assert {name: part.tolist() for name, part in x.items()} == {"a": [2], "b": [4]}
    assert {name: part.tolist() for name, part in y.items()} == {"kind": [1], "size": [6.0]}


def test_dicts_name_inputs_too() -> None:
    assert set(opened(x={"a": [1], "b": [2]})["all"].x) == {"a", "b"}


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"images": [1]}, r"must hold x_train and y_train, x_test and y_test, or x and y; it holds images"),
        ({}, "it holds nothing"),
        ({"y_train": [1]}, "has y_train but no x_train"),
        ({"X_train": [1], "y_train": [1]}, "no x_train; give both; it holds X_train, y_train"),
        ({"x": [1], "x_train": [1]}, "either x and y or x_train, x_test, ..., not both"),
        ({"x": [1], "x.a": [1]}, r"either x or x\.a, not both"),
        ({"x_train": [1, 2, 3], "y_train": [1, 2]}, "as many samples as each other: x_train has 3, y_train has 2"),
        ({"x": {"a": [1, 2], "b": [1]}}, r"x\.a has 2, x\.b has 1"),
        ({"x_train": 3.0}, "x_train must have samples along its first axis, got a single value"),
        ({"x": ["a", "b"]}, "x must hold numbers, got dtype <U1"),
        ({"x": [1j]}, "x must hold numbers, got dtype complex128"),
    ],
)
def test_arrays_that_make_no_splits_are_refused(arrays: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        opened(**arrays)


def test_ragged_lists_and_objects_are_refused() -> None:
    with pytest.raises(DataError, match="x must be an array of numbers, got list"):
        as_array([[1], [1, 2]], "x")
    with pytest.raises(DataError, match=r"x must be an array of numbers, got Python objects.*astype\('float32'\)"):
        as_array(np.array([object()]), "x")


def test_only_floats_and_changed_inputs_need_a_look() -> None:
    rows = np.arange(4)
    whole = ArraySplit({"": InMemory(np.ones(4, np.uint8))}, None, "x", "y")
    fractions = ArraySplit({"": InMemory(np.ones(4))}, None, "x", "y")
    assert len(whole.doubtful(rows, changed=False)) == 0
    assert len(whole.doubtful(rows, changed=True)) == 4
    assert len(fractions.doubtful(rows, changed=False)) == 4

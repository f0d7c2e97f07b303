"""How labels come: shapes with open sizes, one-hot vectors, whole numbers of classes, and what is said of others."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfcompress.errors import DataError
from tfcompress.tasks.label_form import (
    LabelForm,
    check_whole,
    full_shape,
    is_one_hot,
    shapes_match,
    without_ones,
    zeros_and_ones,
)

sizes = st.integers(1, 5)
shapes = st.lists(sizes, max_size=4).map(tuple)


@given(shapes, st.lists(st.booleans(), min_size=4, max_size=4))
def test_an_open_size_takes_any_and_a_settled_one_itself(shape: tuple[int, ...], is_open: list[bool]) -> None:
    wanted = tuple(None if free else size for size, free in zip(shape, is_open, strict=False))
    assert shapes_match(shape, wanted)
    assert not shapes_match((*shape, 1), wanted)
    for place, size in enumerate(shape):
        other = (*shape[:place], size + 1, *shape[place + 1 :])
        assert shapes_match(other, wanted) == (wanted[place] is None)


@given(st.lists(st.none() | sizes, max_size=5).map(tuple))
def test_axes_of_one_element_count_for_nothing(shape: tuple[int | None, ...]) -> None:
    left = without_ones(shape)
    assert 1 not in left
    assert without_ones(left) == left
    assert [size for size in shape if size != 1] == list(left)


@given(st.lists(st.integers(0, 4), min_size=1, max_size=9), st.sampled_from(["float32", "int64", "uint8", "bool"]))
def test_rows_of_an_identity_are_one_hot_and_nothing_else_is(classes: list[int], dtype: str) -> None:
    y = np.eye(5)[classes].astype(dtype)
    assert is_one_hot(y).all()
    assert zeros_and_ones(y)
    y[0] = 0
    assert is_one_hot(y).tolist() == [False, *[True] * (len(classes) - 1)]
    y[0] = 1
    assert is_one_hot(y).tolist() == [False, *[True] * (len(classes) - 1)]


@given(st.lists(st.floats(0.01, 0.99), min_size=2, max_size=5))
def test_shares_are_no_one_hot_vector(shares: list[float]) -> None:
    assert not is_one_hot(np.array([shares])).any()
    assert not zeros_and_ones(np.array(shares))


@given(st.lists(st.integers(0, 9), min_size=1, max_size=8), st.sampled_from(["int32", "float64", "uint8"]))
def test_numbers_of_classes_are_taken_as_any_type(labels: list[int], dtype: str) -> None:
    check_whole(np.array(labels, dtype), np.arange(len(labels)), LabelForm((10,), "y_test"), 9)


@pytest.mark.parametrize(
    ("label", "said"),
    [
        (10.0, "is 10.0 (labels that start at 1? subtract 1)"),
        (11.0, "is 11.0"),
        (-1.0, "is -1.0"),
        (0.5, "is 0.5"),
        (float("nan"), "is nan"),
        (float("inf"), "is inf"),
    ],
)
@pytest.mark.parametrize("axes", [(), (1,), (2, 2)])
def test_the_first_label_that_is_no_class_is_named_by_its_sample(
    label: float, said: str, axes: tuple[int, ...]
) -> None:
    y = np.zeros((5, *axes))
    y[2] = y[4] = label
    with pytest.raises(DataError) as caught:
        check_whole(y, np.arange(1005, 1010), LabelForm((10,), "y_train"), 9)
    allowed = "data: y_train must be whole numbers in 0..9 (the model's output has 10 classes)"
    assert str(caught.value) == f"{allowed}, sample 1,007 {said}"


@given(st.integers(1, 6), shapes)
def test_labels_get_the_shape_of_the_output_in_front_of_which_samples_stand(count: int, shape: tuple[int, ...]) -> None:
    form = LabelForm(shape, "y")
    whole = (count, *shape)
    assert full_shape(np.zeros(whole), form) == whole
    assert full_shape(np.zeros((count, *without_ones(shape))), form) == whole
    assert full_shape(np.zeros((*whole, 1)), form) == whole
    with pytest.raises(DataError, match=r"data: y has shape .* for each sample, the model's output wants "):
        full_shape(np.zeros((*whole, 7)), form)


def test_labels_of_an_open_shape_keep_their_own() -> None:
    form: Any = LabelForm((None, 3), "y")
    assert full_shape(np.zeros((2, 8, 3)), form) == (2, 8, 3)
    with pytest.raises(DataError, match=r"has shape \(8, 4\) for each sample, the model's output wants \(None, 3\)"):
        full_shape(np.zeros((2, 8, 4)), form)

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfcompress.data.labels import LabelCoder, infer_labels
from tfcompress.errors import DataError
from tfcompress.models.specs import TensorSpec
from tfcompress.tasks.traits import OutputTraits


def coder(y: Any, shape: tuple[int | None, ...]) -> LabelCoder:
    return infer_labels(np.asarray(y), TensorSpec("out", shape, "float32"), "y_train")


def encoded(y: Any, shape: tuple[int | None, ...], like: Any = None) -> np.ndarray:
    y = np.asarray(y)
    return coder(y if like is None else like, shape).encode(y, np.arange(100, 100 + len(y)))


@pytest.mark.parametrize(
    ("y", "shape", "task", "result"),
    [
        ([2, 0], (3,), "classification", [2, 0]),
        ([[2], [0]], (3,), "classification", [2, 0]),
        ([2.0, 0.0], (3,), "classification", [2, 0]),
        ([[0, 0, 1], [1, 0, 0]], (3,), "classification", [2, 0]),
        ([[False, True]], (2,), "classification", [1]),
        ([2], (1, 1, 3), "classification", [[[2]]]),
        ([[[0, 1], [1, 0]]], (2, 2, 2), "segmentation", [[[0, 1], [1, 0]]]),
        ([[[[0], [1]], [[1], [0]]]], (2, 2, 2), "segmentation", [[[0, 1], [1, 0]]]),
        ([[[0, 1], [1, 0]]], (None, None, 2), "segmentation", [[[0, 1], [1, 0]]]),
        ([0, 1], (1,), "binary", [[0.0], [1.0]]),
        ([[True], [False]], (1,), "binary", [[1.0], [0.0]]),
        ([0, 1], (), "binary", [0.0, 1.0]),
        ([0.5, 7.0], (1,), "regression", [[0.5], [7.0]]),
        ([[0.5, 7.0]], (2,), "regression", [[0.5, 7.0]]),
        ([[1, 1, 0]], (3,), "multi-label", [[1.0, 1.0, 0.0]]),
        ([[[1.5], [2.5]]], (2, 1), "regression", [[[1.5], [2.5]]]),
        ([[1.5, 2.5]], (2, 1), "regression", [[[1.5], [2.5]]]),
        ([[0.5, 2.0, 3.0]], (None,), "regression", [[0.5, 2.0, 3.0]]),
    ],
)
def test_labels_have_one_form_by_their_task(y: Any, shape: tuple[int | None, ...], task: str, result: Any) -> None:
    assert coder(y, shape).task.name == task
    out = encoded(y, shape)
    assert out.tolist() == result
    assert out.dtype == (np.int32 if task in ("classification", "segmentation") else np.float32)


@given(st.integers(2, 20).flatmap(lambda k: st.tuples(st.just(k), st.lists(st.integers(0, k - 1), min_size=1))))
def test_one_hot_labels_mean_the_same_as_numbers(case: tuple[int, list[int]]) -> None:
    classes, numbers = case
    one_hot = np.eye(classes)[numbers]
    assert encoded(one_hot, (classes,)).tolist() == encoded(numbers, (classes,)).tolist() == numbers


def test_classes_are_the_models() -> None:
    assert coder([0], (7,)).classes == 7
    assert coder([0], (1,)).classes == 2
    assert coder([0.5], (1,)).classes is None


@pytest.mark.parametrize(
    ("y", "shape", "like", "message"),
    [
        ([0, 3], (3,), None, r"in 0\.\.2 .* 3 classes\), sample 101 is 3 \(labels that start at 1\? subtract 1\)"),
        ([0, -1], (3,), None, r"sample 101 is -1$"),
        ([0, 9], (3,), None, r"sample 101 is 9$"),
        ([0, 1.5], (3,), None, r"must be whole numbers in 0\.\.2 .* sample 101 is 1\.5"),
        ([0, np.nan], (3,), None, "sample 101 is nan"),
        ([0, 2], (1,), [0, 1], r"in 0\.\.1 \(the model's output has 2 classes\), sample 101 is 2"),
        ([[0, 1], [1, 1]], (2,), [[0, 1]], "must be one-hot .* as other samples are, sample 101 is not"),
        ([[0.5, 1]], (2,), [[0, 1]], "must be one-hot"),
        ([[0.5], [np.inf]], (1,), None, "y_train holds NaN or Inf at sample 101"),
        ([[1.0, 2.0, 3.0]], (2,), [[0.5, 0.5]], r"has shape \(3,\) for each sample, the model's output wants \(2,\)"),
        ([[1, 0]], (3,), [1], r"has shape \(2,\) for each sample, the model's output wants \(\)"),
    ],
)
def test_labels_out_of_range_are_refused(y: Any, shape: tuple[int, ...], like: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        encoded(y, shape, like)


@pytest.mark.parametrize(
    ("y", "shape", "message"),
    [
        (["cat", "dog"], (2,), r"y_train holds labels as strings such as 'cat'; give whole numbers 0\.\.k-1"),
        ([b"cat"], (2,), "labels as strings"),
        ([1j], (2,), "must hold numbers, got dtype complex128"),
        (
            np.zeros((4, 5)),
            (10,),
            r"shape \(5,\) for each sample, the model's output 'out' has \(10,\); give class numbers",
        ),
        (np.zeros((4, 5)), (1,), r"shape \(5,\) for each sample, .* has \(1,\); give numbers of shape \(1,\)"),
    ],
)
def test_labels_that_fit_no_task_are_refused(y: Any, shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(DataError, match=message):
        coder(y, shape)


@pytest.mark.parametrize(
    ("shape", "loss", "meant"),
    [
        ((1,), "BinaryCrossentropy", "binary"),
        ((3,), "BinaryCrossentropy", "multi-label"),
        ((1,), "MeanSquaredError", ""),
    ],
)
def test_smoothed_labels_of_yes_and_no_are_scored_as_numbers_and_it_is_told(shape: Any, loss: str, meant: str) -> None:
    traits = OutputTraits(activation="sigmoid", loss=loss)
    y = np.where(np.arange(12).reshape(12, 1) % 3 + np.arange(shape[0]) > 1, 0.95, 0.05)
    found = infer_labels(y, TensorSpec("out", shape, "float32", traits), "y")
    assert found.task.name == "regression"
    assert (f"(0 and 1 alone would be {meant}, as {loss} trains it)" in found.why) == bool(meant)
    assert found.decided == bool(meant)

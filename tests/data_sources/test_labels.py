from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfcompress.data.labels import LabelCoder, infer_labels
from tfcompress.errors import DataError
from tfcompress.models.specs import TensorSpec
from tfcompress.tasks.labelling import labelling_of
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


def spec(shape: tuple[int | None, ...], **traits: Any) -> TensorSpec:
    return TensorSpec("out", shape, "float32", OutputTraits(**traits))


SMOOTHED = np.where(np.arange(12).reshape(12, 1) % 3 > 1, 0.95, 0.05)
SHARES = np.random.default_rng(0).dirichlet(np.ones(4), 60)
MASKS = np.random.default_rng(1).integers(0, 2, (6, 4, 5, 1)).astype(np.float64)
HALF = np.where(np.arange(MASKS.size).reshape(MASKS.shape) % 9 == 0, 0.5, MASKS)
STEPS = np.eye(4)[np.random.default_rng(2).integers(0, 4, (8, 6))]
ANSWERS = {
    "BinaryCrossentropy": {"activation": "sigmoid", "loss": "BinaryCrossentropy"},
    "BinaryFocalCrossentropy": {"activation": "linear", "loss": "BinaryFocalCrossentropy"},
    "sigmoid": {"activation": "sigmoid"},
    "CategoricalCrossentropy": {"activation": "linear", "loss": "CategoricalCrossentropy"},
    "SparseCategoricalCrossentropy": {"activation": "softmax", "loss": "SparseCategoricalCrossentropy"},
    "softmax": {"activation": "softmax"},
    "softmax of errors": {"activation": "softmax", "loss": "MeanSquaredError"},
}
YES_OR_NO = ("BinaryCrossentropy", "BinaryFocalCrossentropy", "sigmoid")
OF_CLASSES = ("CategoricalCrossentropy", "SparseCategoricalCrossentropy", "softmax", "softmax of errors")


@pytest.mark.parametrize(
    ("y", "shape", "kinds", "task", "message"),
    [
        (
            SHARES * 0.98,
            (4,),
            OF_CLASSES,
            "classification",
            r"sum to 1, sample 0 sums to 0\.98; divide each label by its",
        ),
        (SHARES * 7 - 2, (4,), OF_CLASSES, "classification", r"holds a negative share; .* or say --task regression"),
        (np.rint(SHARES * 100).astype(int), (4,), OF_CLASSES, "classification", "divide each label by 100 if"),
        (np.rint(SHARES * 100), (4,), OF_CLASSES, "classification", "divide each label by 100 if"),
        (np.ones((9, 4)) - np.eye(9, 4), (4,), OF_CLASSES, "classification", "sample 0 sums to 3; divide each"),
        (np.stack([SHARES * 0.9] * 3, 1), (3, 4), OF_CLASSES, "classification", r"sample 0 sums to 0\.9"),
        (np.where(STEPS.any(0), STEPS, 0) * 2, (6, 4), OF_CLASSES, "classification", r"sample 0 sums to 2"),
        (
            np.array([1, -1] * 6),
            (1,),
            YES_OR_NO,
            "binary",
            r"whole numbers in 0\.\.1 .*, sample 1 is -1; .*--task regress",
        ),
        (np.array([0, 7] * 6), (1,), YES_OR_NO, "binary", r"in 0\.\.1 .*, sample 1 is 7; .*; --task regression takes"),
        (SMOOTHED, (1,), YES_OR_NO[:2], "binary", r"sample 0 is 0\.05; the model was compiled with Binary"),
        (
            SMOOTHED + np.array([0, 0, 0.01]),
            (3,),
            YES_OR_NO[:2],
            "multi-label",
            r"sample 0 holds 0\.05; .*--task regression",
        ),
        (
            SMOOTHED * 2 + np.array([0, 0, 1]),
            (3,),
            YES_OR_NO,
            "multi-label",
            r"sample 0 holds 0\.1; .*--task regression",
        ),
        (
            HALF,
            (4, 5, 1),
            YES_OR_NO[:2],
            "segmentation",
            r"sample 0 is 0\.5; .*--ignore-label says; .*--task regression",
        ),
        (MASKS * 7, (4, 5, 1), YES_OR_NO, "segmentation", r"in 0\.\.1 .*, sample 0 is 7"),
        (np.rint(HALF * 255), (4, 5, 1), YES_OR_NO, "segmentation", r"in 0\.\.1 .*, sample 0 is 128"),
    ],
)
def test_labels_that_are_none_of_the_models_task_are_refused_by_that_task(
    y: np.ndarray, shape: Any, kinds: Any, task: str, message: str
) -> None:
    for kind in kinds:
        found = infer_labels(y, spec(shape, **ANSWERS[kind]), "y_train")
        assert found.task.name == task
        with pytest.raises(DataError, match=message):
            found.encode(y, np.arange(len(y)))
        said = infer_labels(y, spec(shape, **ANSWERS[kind]), "y_train", labelling=labelling_of(task="regression"))
        assert said.encode(y, np.arange(len(y))).tolist() == np.float32(y).reshape(-1, *shape).tolist()


@pytest.mark.parametrize(
    ("y", "shape", "traits"),
    [
        (SMOOTHED, (1,), {"activation": "sigmoid"}),
        (SMOOTHED, (1,), {"activation": "sigmoid", "loss": "MeanSquaredError"}),
        (HALF, (4, 5, 1), {"activation": "sigmoid", "loss": "MeanSquaredError"}),
        (np.stack([SMOOTHED] * 3, 1), (3, 1), {"activation": "sigmoid", "loss": "BinaryCrossentropy"}),
        ([0, 1] * 6, (1,), {"activation": "sigmoid", "loss": "MeanSquaredError"}),
    ],
)
def test_numbers_beside_a_sigmoid_are_of_a_regression_and_it_is_told(y: Any, shape: Any, traits: Any) -> None:
    found = infer_labels(np.asarray(y), spec(shape, **traits), "y")
    assert (found.task.name, found.decided) == ("regression", True)
    assert found.encode(np.asarray(y), np.arange(len(y))).shape == (len(y), *shape)
    crossentropy = traits.get("loss") == "BinaryCrossentropy"
    assert ("which are of no task that BinaryCrossentropy trains" in found.why) == crossentropy


def test_numbers_of_an_output_that_nothing_is_told_of_are_of_a_regression_as_ever() -> None:
    for traits in ({}, {"activation": "linear"}, {"activation": "relu", "loss": "Huber"}):
        found = infer_labels(SHARES * 0.98, spec((4,), **traits), "y")
        assert (found.task.name, found.decided) == ("regression", False)


@given(st.integers(2, 12), st.integers(2, 4), st.sampled_from([np.float32, np.float64]), st.integers(0, 99))
def test_shares_that_were_rounded_are_divided_by_their_sums_and_it_is_told(
    classes: int, digits: int, dtype: Any, seed: int
) -> None:
    shares = np.random.default_rng(seed).dirichlet(np.ones(classes), 40)
    y = shares.round(digits).astype(dtype)
    found = infer_labels(y, spec((classes,), activation="softmax"), "y")
    encoded = found.encode(y, np.arange(40))
    assert found.task.name == "classification"
    np.testing.assert_allclose(encoded, shares, atol=classes * 10.0**-digits)
    exact = (abs(y.sum(axis=-1, dtype=float) - 1) <= 1e-3).all()
    doubt = str(found.task.doubt(found.form, whole=False))
    assert (f"rounded to {digits} digits" in doubt) != exact
    if not exact:
        np.testing.assert_allclose(encoded.sum(axis=-1), 1, atol=1e-6)


def test_shares_that_are_further_from_1_than_rounding_takes_them_are_refused() -> None:
    y = SHARES.round(2)
    y[7] = [0.5, 0.3, 0.1, 0.05]
    found = infer_labels(y, spec((4,), activation="softmax"), "y")
    with pytest.raises(DataError, match=r"sample \d+ sums to "):
        found.encode(y, np.arange(len(y)))


@pytest.mark.parametrize("traits", [{}, ANSWERS["softmax"], ANSWERS["CategoricalCrossentropy"]])
def test_steps_of_zeros_among_one_hot_ones_are_padding_and_it_is_told(traits: Any) -> None:
    y, numbers = STEPS.copy(), STEPS.argmax(-1)
    y[2, 4:], y[5, 1:], numbers[2, 4:], numbers[5, 1:] = 0, 0, -1, -1
    found = infer_labels(y, spec((6, 4), **traits), "y")
    assert found.task.name == "tokens"
    assert found.encode(y, np.arange(len(y))).tolist() == numbers.tolist()
    assert "steps of zeros alone, which were taken for padding" in str(found.task.doubt(found.form, whole=True))
    plain = infer_labels(STEPS, spec((6, 4), **traits), "y")
    assert plain.task.doubt(plain.form, whole=True) is None
    with pytest.raises(DataError, match=r"must be one-hot at each step .* sample 2 is not"):
        plain.encode(y, np.arange(len(y)))

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import pytest

from tests.tasks.task_contract import TaskContract
from tfcompress.errors import DataError
from tfcompress.tasks.labelling import Labelling
from tfcompress.tasks.segmentation import Segmentation
from tfcompress.tasks.task_table import TASKS, task_of
from tfcompress.tasks.traits import OutputTraits

SEGMENTATION = TASKS["segmentation"]


class TestMaps(TaskContract):
    name = "segmentation"
    shape = (4, 5, 3)
    void = 255

    def stored(self, rng: np.random.Generator, count: int) -> np.ndarray:
        return rng.choice([0, 1, 2, self.void], (count, 4, 5), p=[0.4, 0.3, 0.2, 0.1])

    def outputs(self, labels: np.ndarray, noise: float, rng: np.random.Generator) -> np.ndarray:
        scores = 3 * np.eye(3)[np.where(labels == self.void, 0, labels)]
        return np.float32(scores + 2 * noise * rng.normal(size=scores.shape))


class TestProbabilities(TestMaps):
    def outputs(self, labels: np.ndarray, noise: float, rng: np.random.Generator) -> np.ndarray:
        logits = super().outputs(labels, noise, rng).astype(np.float64)
        parts = np.exp(logits - logits.max(axis=-1, keepdims=True))
        return np.float32(parts / parts.sum(axis=-1, keepdims=True))


class TestOneHot(TestMaps):
    def stored(self, rng: np.random.Generator, count: int) -> np.ndarray:
        return np.eye(3)[rng.integers(0, 3, (count, 4, 5))]


class TestMasks(TestMaps):
    shape = (4, 5, 1)
    teaching = "binary logits"

    def stored(self, rng: np.random.Generator, count: int) -> np.ndarray:
        return rng.choice([0, 1, 255], (count, 4, 5), p=[0.6, 0.3, 0.1])

    def outputs(self, labels: np.ndarray, noise: float, rng: np.random.Generator) -> np.ndarray:
        return np.float32(2 * (labels == 1) - 1 + noise * rng.normal(size=labels.shape))


def encoded(y: Any, shape: tuple[int, ...], task: Any = SEGMENTATION) -> np.ndarray:
    y = np.asarray(y)
    found: np.ndarray = task.encode(y, np.arange(len(y)), task.form(y, shape, "y_train"))
    return found


def test_classes_are_none_of_its_business_where_there_are_no_planes() -> None:
    assert task_of(np.zeros((3, 7)), (7, 4)) is not SEGMENTATION
    assert task_of(np.zeros((3, 1, 1)), (1, 1, 4)) is TASKS["classification"]
    assert task_of(np.full((3, 4, 5), 0.5), (4, 5, 1)) is TASKS["regression"]


@pytest.mark.parametrize("y", [np.zeros((2, 4, 5)), np.zeros((2, 4, 5, 1))])
def test_maps_come_with_and_without_an_axis_of_one(y: np.ndarray) -> None:
    assert encoded(y, (4, 5, 3)).shape == (2, 4, 5)
    assert encoded(y, (4, 5, 1)).shape == (2, 4, 5, 1)


def test_a_mask_of_0_and_255_means_yes_by_255_and_says_so() -> None:
    y = np.uint8([[[0, 255], [255, 0]]])
    form = SEGMENTATION.form(y, (2, 2, 1), "y_train")
    np.testing.assert_array_equal(SEGMENTATION.encode(y, np.arange(1), form)[..., 0], [[[0, 1], [1, 0]]])
    assert "255 was taken for the class 1; --ignore-label 255 says" in str(SEGMENTATION.doubt(form, whole=True))
    with pytest.raises(DataError, match="y_train must hold 0 and 255 as its first samples do, sample 8 holds others"):
        SEGMENTATION.encode(np.uint8([[[0, 1], [255, 0]]]), np.array([8]), form)
    void = SEGMENTATION.configured(Labelling(ignore_label=255))
    assert encoded(y, (2, 2, 1), void).max() == 255


def test_masks_with_a_1_keep_255_for_what_does_not_count() -> None:
    y = np.uint8([[[0, 255], [1, 0]]])
    assert SEGMENTATION.doubt(SEGMENTATION.form(y, (2, 2, 1), "y"), whole=True) is None
    np.testing.assert_array_equal(encoded(y, (2, 2, 1))[..., 0], y)


def test_an_ignored_label_that_is_a_class_is_refused() -> None:
    task = SEGMENTATION.configured(Labelling(ignore_label=2))
    with pytest.raises(
        DataError, match=r"--ignore-label 2 is one of the 3 classes \(0..2\) that the model tells apart"
    ):
        task.form(np.zeros((1, 4, 5)), (4, 5, 3), "y_train")


def test_a_negative_label_can_be_ignored() -> None:
    task = SEGMENTATION.configured(Labelling(ignore_label=-1))
    assert task.options() == {"ignore_label": -1}
    y = np.array([[[0, -1], [2, 1]]])
    np.testing.assert_array_equal(encoded(y, (2, 2, 3), task), y)
    assert task.for_runner(y).dtype == np.int16
    assert Segmentation(1 << 20).for_runner(y).dtype == np.int32


def test_where_255_is_a_class_nothing_is_void() -> None:
    y = np.array([[[0, 255], [3, 299]]])
    np.testing.assert_array_equal(encoded(y, (2, 2, 300)), y)


@pytest.mark.parametrize(
    ("y", "shape", "message"),
    [
        (np.full((1, 4, 5), 3), (4, 5, 3), r"y_train must be whole numbers in 0..2 .* sample 0 is 3"),
        (np.full((1, 4, 5), 0.5), (4, 5, 3), r"y_train must be whole numbers in 0..2 .* sample 0 is 0.5"),
        (
            np.zeros((1, 3, 5)),
            (4, 5, 3),
            r"y_train has shape \(3, 5\) for each sample, the model's output wants \(4, 5\)",
        ),
        (np.full((1, 4, 5), 2), (4, 5, 1), "sample 0 is 2.*; pixels that don't count hold 255, or what --ignore-label"),
        (np.zeros((1, 4, 5, 3)), (4, 5, 3), "must be one-hot at each pixel .*, sample 0 is not; give class numbers"),
    ],
)
def test_labels_that_are_no_classes_are_refused(y: np.ndarray, shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(DataError, match=message):
        encoded(y, shape)


@pytest.mark.parametrize("library", ["keras", "tf_keras"])
@pytest.mark.parametrize("shape", [(2, 2, 3), (2, 2, 1)])
def test_void_pixels_are_not_in_the_loss(library: str, shape: tuple[int, ...]) -> None:
    keras: Any = importlib.import_module(library)
    rng = np.random.default_rng(0)
    outputs = np.float32(rng.normal(size=(2, *shape)))
    labels = np.int32([[[0, 1], [1, 255]], [[255, 255], [0, 1]]])
    loss = SEGMENTATION.loss(outputs, keras)
    if shape[-1] == 1:
        p = 1 / (1 + np.exp(-outputs[..., 0]))
        each = -np.log(np.where(labels == 1, p, 1 - p))
    else:
        p = np.exp(outputs) / np.exp(outputs).sum(axis=-1, keepdims=True)
        each = -np.log(np.take_along_axis(p, np.where(labels == 255, 0, labels)[..., None], axis=-1)[..., 0])
    wanted = each[labels != 255].mean()
    assert float(loss(labels if shape[-1] > 1 else labels[..., None], outputs)) == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("library", ["keras", "tf_keras"])
def test_a_batch_of_void_alone_moves_nothing(library: str) -> None:
    keras: Any = importlib.import_module(library)
    loss = SEGMENTATION.loss(np.float32([[[[2.0]]]]), keras)
    assert float(loss(np.full((1, 2, 2, 1), 255), np.ones((1, 2, 2, 1), "f4"))) == 0


def test_predictions_of_another_shape_are_refused() -> None:
    with pytest.raises(DataError, match=r"predictions of shape \(1, 2, 2, 3\) do not fit labels of shape \(1, 2, 1\)"):
        SEGMENTATION.scorer().add(np.zeros((1, 2, 2, 3)), np.zeros((1, 2, 1)))


@pytest.mark.parametrize("loss", ["SparseCategoricalCrossentropy", None])
def test_maps_are_pixels_whatever_the_model_was_compiled_with(loss: str | None) -> None:
    y = np.random.default_rng(0).choice([0, 1, 2, 255], (6, 4, 5))
    assert task_of(y, (4, 5, 3), traits=OutputTraits(loss=loss, activation="softmax")) is SEGMENTATION
    mask = OutputTraits(loss="BinaryCrossentropy", activation="sigmoid")
    assert task_of((y == 1) * 1, (4, 5, 1), traits=mask) is SEGMENTATION
    traits = OutputTraits(loss="MeanSquaredError")
    assert task_of((y == 1) * 1, (4, 5, 1), traits=traits) is TASKS["regression"]


def test_a_pixel_that_is_mistaken_makes_no_numbers_of_maps() -> None:
    one_hot = np.eye(3)[np.random.default_rng(0).integers(0, 3, (6, 4, 5))]
    one_hot[4, 0, 0] = 0
    assert task_of(one_hot, (4, 5, 3)) is SEGMENTATION
    with pytest.raises(DataError, match="sample 4 is not; give class numbers instead, and 255 for pixels that don't"):
        encoded(one_hot, (4, 5, 3))
    maps = one_hot.argmax(axis=-1)
    maps[2, 1, 1] = 7
    assert task_of(maps, (4, 5, 3)) is SEGMENTATION

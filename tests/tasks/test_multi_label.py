from __future__ import annotations

import numpy as np
import pytest

from tests.tasks.task_contract import TaskContract
from tfcompress.errors import DataError
from tfcompress.tasks.label_form import LabelForm
from tfcompress.tasks.task_table import TASKS, task_of
from tfcompress.tasks.traits import OutputTraits

MULTI_LABEL = TASKS["multi-label"]
FORM = LabelForm((3,), "y_train")


class TestLogits(TaskContract):
    name = "multi-label"
    shape = (4,)

    def stored(self, rng: np.random.Generator, count: int) -> np.ndarray:
        return rng.integers(0, 2, (count, *self.shape))

    def outputs(self, labels: np.ndarray, noise: float, rng: np.random.Generator) -> np.ndarray:
        return np.float32(2 * labels - 1 + noise * rng.normal(size=labels.shape))


class TestProbabilities(TestLogits):
    def outputs(self, labels: np.ndarray, noise: float, rng: np.random.Generator) -> np.ndarray:
        return 1 / (1 + np.exp(-super().outputs(labels, noise, rng).astype(np.float64).clip(-30, 30))).astype("f4")


def test_rows_with_a_single_1_everywhere_are_classes_and_one_other_row_makes_tags() -> None:
    rows = np.eye(3)
    assert task_of(rows, (3,)) is TASKS["classification"]
    assert task_of(np.vstack([rows, [1, 1, 0]]), (3,)) is MULTI_LABEL
    assert task_of(np.vstack([rows, [0, 0, 0]]), (3,)) is MULTI_LABEL
    assert task_of(np.vstack([rows, [0, 2, 0]]), (3,)) is TASKS["regression"]


@pytest.mark.parametrize(("value", "told"), [(2.0, "2.0"), (0.5, "0.5"), (np.nan, "nan")])
def test_what_is_neither_0_nor_1_is_refused_by_the_samples_number(value: float, told: str) -> None:
    with pytest.raises(
        DataError, match=f"y_train must hold 0 or 1 for each of the model's 3 tags, sample 17 holds {told}"
    ):
        MULTI_LABEL.encode(np.array([[0, 1, 1], [0, value, 0]]), np.array([16, 17]), FORM)


def test_labels_of_another_number_of_tags_are_refused() -> None:
    with pytest.raises(DataError, match=r"y_train has shape \(2,\) for each sample, the model's output wants \(3,\)"):
        MULTI_LABEL.encode(np.zeros((1, 2)), np.arange(1), FORM)


def test_a_score_tells_each_tag_and_the_best_constant() -> None:
    scorer = MULTI_LABEL.scorer()
    labels = np.float32([[1, 0, 0], [1, 1, 0], [0, 0, 0], [1, 0, 0]])
    scorer.add(np.float32([[0.9, 0.2, 0.1], [0.8, 0.7, 0.1], [0.6, 0.1, 0.2], [0.3, 0.2, 0.1]]), labels)
    score = scorer.evaluation().score
    assert score.per_class == {"0": 2 * 2 / (2 * 2 + 1 + 1), "1": 1.0}  # the third tag is neither there nor given
    assert score.main_figure.value == (2 / 3 + 1) / 2
    assert score.chance == pytest.approx((2 * 0.75 / 1.75 + 2 * 0.25 / 1.25) / 2)


def test_predictions_of_another_shape_are_refused() -> None:
    with pytest.raises(DataError, match=r"predictions of shape \(1, 2\) do not fit labels of shape \(1, 3\)"):
        MULTI_LABEL.scorer().add(np.zeros((1, 2)), np.zeros((1, 3)))


def test_the_device_gets_bytes() -> None:
    assert MULTI_LABEL.for_runner(np.float32([[0, 1]])).dtype == np.uint8


def test_several_tags_have_no_largest() -> None:
    assert not MULTI_LABEL.has_classes


@pytest.mark.parametrize(
    ("traits", "name"),
    [
        (OutputTraits(activation="sigmoid"), "multi-label"),
        (OutputTraits(activation="softmax"), "classification"),
        (OutputTraits(activation="linear"), "classification"),
        (OutputTraits(activation="linear", loss="BinaryCrossentropy"), "multi-label"),
        (OutputTraits(activation="sigmoid", loss="CategoricalCrossentropy"), "classification"),
    ],
)
def test_rows_with_a_single_1_are_what_the_model_says(traits: OutputTraits, name: str) -> None:
    assert task_of(np.eye(3), (3,), traits=traits) is TASKS[name]

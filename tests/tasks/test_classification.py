from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edge_runner.scorers import ranks
from tests.tasks.task_contract import TaskContract
from tfcompress.errors import DataError
from tfcompress.tasks.classification import are_probabilities
from tfcompress.tasks.label_form import LabelForm
from tfcompress.tasks.score import Score
from tfcompress.tasks.task import Evaluation
from tfcompress.tasks.task_table import TASKS, task_of

CLASSIFICATION = TASKS["classification"]


class TestClassNumbers(TaskContract):
    name = "classification"
    shape = (7,)

    def stored(self, rng: np.random.Generator, count: int) -> np.ndarray:
        return rng.integers(0, 7, count)

    def outputs(self, labels: np.ndarray, noise: float, rng: np.random.Generator) -> np.ndarray:
        return np.float32(3 * np.eye(7)[labels] + noise * rng.normal(size=(len(labels), 7)))


class TestOneHot(TestClassNumbers):
    def stored(self, rng: np.random.Generator, count: int) -> np.ndarray:
        return np.eye(7)[rng.integers(0, 7, count)]


class TestSoft(TestClassNumbers):
    def stored(self, rng: np.random.Generator, count: int) -> np.ndarray:
        return 0.7 * np.eye(7)[rng.integers(0, 7, count)] + 0.3 * rng.dirichlet(np.ones(7), count)

    def outputs(self, labels: np.ndarray, noise: float, rng: np.random.Generator) -> np.ndarray:
        return super().outputs(labels.argmax(axis=-1), noise, rng)


def evaluated(outputs: Any, labels: Any) -> Evaluation:
    scorer = CLASSIFICATION.scorer()
    scorer.add(np.asarray(outputs), np.asarray(labels))
    return scorer.evaluation()


def scored(outputs: Any, labels: Any) -> Score:
    return evaluated(outputs, labels).score


@given(
    hnp.arrays(np.int8, (9, 7), elements=st.integers(-3, 3)),
    hnp.arrays(np.int32, 9, elements=st.integers(0, 6)),
)
def test_the_figures_are_those_of_sorting_each_sample_by_hand(outputs: np.ndarray, labels: np.ndarray) -> None:
    pairs = list(zip(outputs.tolist(), labels.tolist(), strict=True))
    places = [sorted(range(7), key=lambda c, row=row: (-row[c], c)).index(y) for row, y in pairs]
    score = scored(outputs, labels)
    assert score.figures["top1"].value == sum(place == 0 for place in places) / 9
    assert score.figures["top5"].value == sum(place < 5 for place in places) / 9
    by_class = {c: [p == 0 for p, y in zip(places, labels, strict=True) if y == c] for c in set(labels.tolist())}
    assert score.per_class == {str(c): sum(right) / len(right) for c, right in by_class.items()}
    assert score.chance == max(map(len, by_class.values())) / 9


@given(hnp.arrays(np.int8, st.tuples(st.integers(1, 8), st.integers(1, 8)), elements=st.integers(-3, 3)))
def test_rank_zero_is_exactly_argmax(scores: np.ndarray) -> None:
    for truth in range(scores.shape[1]):
        labels = np.full(len(scores), truth)
        assert ((ranks(scores, labels) == 0) == (scores.argmax(axis=1) == truth)).all()


def test_a_prediction_with_nan_is_wrong() -> None:
    assert scored(np.array([[np.nan, 0.0], [1.0, 0.0]], np.float32), [0, 0]).main_figure.value == 1 / 2


def test_positions_of_a_sample_go_together() -> None:
    outputs = np.eye(2, dtype=np.float32)[[[0, 1], [1, 1], [0, 0]]]  # three samples of two positions
    found = evaluated(outputs, np.array([[0, 1], [1, 0], [1, 1]]))
    main = found.score.main_figure
    assert (found.score.samples, main.value) == (3, 3 / 6)
    assert found.outcomes.tolist() == [1, 1 / 2, 0]
    assert (main.low, main.high) == (0, 1)  # 0.5 ± 4.303 * 0.5 / sqrt(3)


def test_models_that_are_right_equally_often_are_compared_by_samples_whatever_their_positions() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, (40, 5))
    better = evaluated(np.eye(2)[labels], labels)
    worse = evaluated(np.eye(2)[np.where(rng.random(labels.shape) < 0.3, 1 - labels, labels)], labels)
    found = CLASSIFICATION.compare(better, worse)
    assert found is not None
    assert (found.test, found.verdict) == ("paired t", "worse")


def test_probabilities_are_told_from_logits_by_the_rows() -> None:
    softmax, logits = np.array([[0.2, 0.8], [0.5, 0.5]]), np.array([[-3.0, 1.0], [0.5, 0.5]])
    assert are_probabilities(softmax)
    assert not are_probabilities(logits)
    assert not are_probabilities(softmax / 2)


@pytest.mark.parametrize(
    ("outputs", "from_logits"), [([[0.25, 0.75]], False), ([[0.25, 2.0]], True), ([[0.1, 0.1]], True)]
)
def test_the_loss_follows_the_outputs(outputs: Any, from_logits: bool) -> None:
    import keras

    assert CLASSIFICATION.loss(np.array(outputs), keras).get_config()["from_logits"] is from_logits


def test_a_drop_of_20_points_on_40_samples_cannot_be_told_from_chance() -> None:
    """Of 40 samples 14 are right before alone, 6 after alone: 20 points less, p = 0.08."""
    labels = np.zeros(40, int)
    right = np.repeat([[True, True], [True, False], [False, True]], [20, 14, 6], axis=0)
    before, after = (evaluated(np.eye(2)[np.where(column, 0, 1)], labels) for column in right.T)
    found = CLASSIFICATION.compare(before, after)
    assert found is not None
    assert found.value == pytest.approx(-8 / 40)
    assert found.verdict == "cannot tell"


SOFT = np.array([[0.5, 0.3, 0.2], [0.1, 0.1, 0.8]])


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ([0.5, 0.3, 0.1], "y_train must hold shares of the classes that sum to 1, sample 41 sums to 0.9; divide each"),
        ([1.2, -0.2, 0.0], "sample 41 holds a negative share"),
        ([0.5, np.nan, 0.1], "sample 41 sums to nan"),
    ],
)
def test_soft_labels_that_are_no_shares_are_refused_by_the_samples_number(row: list[float], message: str) -> None:
    form = CLASSIFICATION.form(SOFT, (3,), "y_train")
    with pytest.raises(DataError, match=message):
        CLASSIFICATION.encode(np.vstack([SOFT, row]), np.array([39, 40, 41]), form)


def test_soft_labels_may_be_rounded_and_are_told_from_numbers() -> None:
    assert task_of(SOFT.astype(np.float16), (3,)) is CLASSIFICATION
    assert task_of(SOFT * 0.9, (3,)) is TASKS["regression"]
    assert CLASSIFICATION.takes(SOFT * 0.9, (3,))


def test_soft_labels_are_scored_by_their_largest_share_and_it_is_said() -> None:
    form = CLASSIFICATION.form(SOFT, (3,), "y_train")
    encoded = CLASSIFICATION.encode(SOFT, np.arange(2), form)
    assert scored(np.eye(3)[[0, 1]], encoded).main_figure.value == 1 / 2
    assert CLASSIFICATION.for_runner(encoded).tolist() == [0, 2]
    occurring = CLASSIFICATION.occurring(encoded, (3,))
    assert occurring is not None
    assert occurring.tolist() == [1, 0, 1]
    assert "scores take the class with the largest" in str(CLASSIFICATION.doubt(form, whole=False))
    assert CLASSIFICATION.doubt(LabelForm((3,), "y_train"), whole=True) is None


def test_where_training_labels_are_soft_all_are_compared_as_shares_and_else_as_numbers() -> None:
    soft = CLASSIFICATION.formed(CLASSIFICATION.form(SOFT, (3,), "y_train"))
    np.testing.assert_array_equal(soft.targets({}, np.array([2, 0], np.int32)), [[0, 0, 1], [1, 0, 0]])
    np.testing.assert_array_equal(soft.targets({}, np.float32(SOFT)), np.float32(SOFT))
    np.testing.assert_array_equal(CLASSIFICATION.targets({}, np.float32(SOFT)), [0, 2])


def test_a_score_tells_which_classes_are_taken_for_each_other_most_often_first() -> None:
    labels, predicted = np.array([0, 0, 0, 1, 1, 2, 2]), np.array([1, 1, 0, 1, 0, 0, 2])
    assert scored(np.eye(3)[predicted], labels).confusion == ((0, 1, 2), (1, 0, 1), (2, 0, 1))

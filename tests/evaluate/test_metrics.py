from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from tfcompress.evaluate.metrics import area_under_roc, evaluate, ranks
from tfcompress.evaluate.significance import wilson

from tfcompress.errors import DataError, ModelError


@dataclass
class FakeSplit:
    """A split whose inputs are the predictions, so that an identity function is the model."""

    scores: np.ndarray
    labels: Any
    name: str = "test"

    @property
    def size(self) -> int:
        return len(self.scores)

    def batches(
        self, batch_size: int, *, seed: int | None = None, epoch: int = 0, limit: int | None = None
    ) -> Iterator[tuple[dict[str, np.ndarray], Any]]:
        stop = self.size if limit is None else limit
        for start in range(0, stop, batch_size):
            part = slice(start, min(start + batch_size, stop))
            y = {k: v[part] for k, v in self.labels.items()} if isinstance(self.labels, dict) else self.labels
            yield {"x": self.scores[part]}, y[part] if isinstance(y, np.ndarray) else y


def identity(x: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {"out": x["x"]}


def one_hot(truth: list[int], classes: int) -> np.ndarray:
    return np.eye(classes, dtype=np.float32)[truth]


def test_top1_is_the_share_of_right_predictions_with_its_wilson_interval() -> None:
    split = FakeSplit(one_hot([0, 1, 2, 2], 3), np.array([0, 1, 2, 0]))
    metrics = evaluate(identity, split, "classification", batch_size=3)
    assert metrics.samples == 4
    assert metrics.top1 == 3 / 4
    assert (metrics.top1_low, metrics.top1_high) == wilson(3, 4)
    assert metrics.correct is not None
    assert metrics.correct.tolist() == [True, True, True, False]
    assert metrics.top5 is None


def test_recall_is_told_for_each_class_that_has_samples() -> None:
    split = FakeSplit(one_hot([0, 1, 1, 1], 4), np.array([0, 0, 1, 1]))
    assert evaluate(identity, split, "classification").recall == (1 / 2, 2 / 2, None, None)


def test_top5_counts_labels_among_the_five_highest() -> None:
    descending = np.tile(np.arange(10, 0, -1, dtype=np.float32), (10, 1))
    metrics = evaluate(identity, FakeSplit(descending, np.arange(10)), "classification")
    assert metrics.top1 == 1 / 10
    assert metrics.top5 == 5 / 10


def test_equal_scores_go_by_class_number_as_argmax_does() -> None:
    equal = np.zeros((3, 6), np.int8)
    assert ranks(equal, np.array([0, 2, 5])).tolist() == [0, 2, 5]


@given(hnp.arrays(np.int8, st.tuples(st.integers(1, 8), st.integers(1, 8)), elements=st.integers(-3, 3)))
def test_rank_zero_is_exactly_argmax(scores: np.ndarray) -> None:
    for truth in range(scores.shape[1]):
        labels = np.full(len(scores), truth)
        assert ((ranks(scores, labels) == 0) == (scores.argmax(axis=1) == truth)).all()


def test_a_prediction_with_nan_is_wrong() -> None:
    scores = np.array([[np.nan, 0.0], [1.0, 0.0]], np.float32)
    assert evaluate(identity, FakeSplit(scores, np.array([0, 0])), "classification").top1 == 1 / 2


def test_dense_predictions_count_positions_and_claim_no_interval() -> None:
    scores = one_hot([0, 1, 1, 1], 2).reshape(2, 2, 2)  # two samples of two positions
    metrics = evaluate(identity, FakeSplit(scores, np.array([[0, 1], [1, 0]])), "classification")
    assert metrics.samples == 2
    assert metrics.top1 == 3 / 4
    assert metrics.top1_low is None
    assert metrics.correct is None


@pytest.mark.parametrize("outputs", [[[0.9], [0.2], [0.6]], [[2.0], [-3.0], [0.1]]], ids=["probabilities", "logits"])
def test_binary_decides_at_half_for_probabilities_and_at_zero_for_logits(outputs: list[list[float]]) -> None:
    split = FakeSplit(np.array(outputs, np.float32), np.array([[1.0], [0.0], [0.0]], np.float32))
    metrics = evaluate(identity, split, "binary", batch_size=2)
    assert metrics.top1 == 2 / 3
    assert metrics.auc == 2 / 2  # the positive scores above both negatives


def test_area_under_roc_counts_ties_half() -> None:
    scores, truth = np.array([0.0, 1.0, 1.0, 2.0]), np.array([False, False, True, True])
    assert area_under_roc(scores, truth) == (1 + 0.5 + 1 + 1) / 4


def test_area_under_roc_needs_both_classes() -> None:
    assert area_under_roc(np.ones(3), np.ones(3, bool)) is None


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=2, max_size=30))
def test_area_under_roc_is_the_share_of_pairs_in_order(samples: list[tuple[int, bool]]) -> None:
    positives = [s for s, t in samples if t]
    negatives = [s for s, t in samples if not t]
    area = area_under_roc(np.array([float(s) for s, _ in samples]), np.array([t for _, t in samples]))
    if not positives or not negatives:
        assert area is None
    else:
        wins = sum((p > n) + (p == n) / 2 for p in positives for n in negatives)
        assert area == pytest.approx(wins / (len(positives) * len(negatives)))


def test_regression_tells_mean_and_root_mean_square_error() -> None:
    split = FakeSplit(np.array([[1.0], [2.0], [6.0]], np.float32), np.array([[1.0], [4.0], [2.0]], np.float32))
    metrics = evaluate(identity, split, "regression", batch_size=2)
    assert metrics.mae == (0 + 2 + 4) / 3
    assert metrics.rmse == pytest.approx(((0 + 4 + 16) / 3) ** 0.5)
    assert metrics.top1 is None


def test_each_output_with_labels_has_its_own_numbers() -> None:
    def predict(x: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {"kind": x["x"], "size": x["x"][:, :1], "unlabelled": x["x"]}

    labels = {"kind": np.array([0, 1]), "size": np.array([[1.0], [3.0]], np.float32)}
    split = FakeSplit(one_hot([0, 0], 2), labels)
    metrics = evaluate(predict, split, {"kind": "classification", "size": "regression"})
    assert metrics.top1 == metrics.outputs["kind"].top1 == 1 / 2
    assert metrics.outputs["size"].mae == (0 + 2) / 2
    assert metrics.to_dict()["outputs"]["size"]["mae"] == 1.0


def test_limit_evaluates_the_first_samples_only() -> None:
    split = FakeSplit(one_hot([0, 0, 1], 2), np.array([0, 0, 0]))
    assert evaluate(identity, split, "classification", limit=2).top1 == 1.0


def test_numbers_for_the_report_are_plain() -> None:
    metrics = evaluate(identity, FakeSplit(one_hot([0, 1], 2), np.array([0, 0])), "classification")
    plain = json.loads(json.dumps(metrics.to_dict(), allow_nan=False))
    assert plain["top1"] == 1 / 2
    assert plain["recall"] == [1 / 2, None]
    assert "correct" not in plain


def test_progress_hears_of_every_sample() -> None:
    class Bar:
        done = 0.0

        def advance(self, steps: float = 1) -> None:
            self.done += steps

        def describe(self, text: str) -> None:
            raise AssertionError(text)

    bar = Bar()
    evaluate(
        identity, FakeSplit(one_hot([0] * 5, 2), np.zeros(5, int)), "classification", batch_size=2, progress_task=bar
    )
    assert bar.done == 5


def test_a_split_without_labels_is_refused() -> None:
    with pytest.raises(DataError, match="the test split has no labels, and accuracy needs them; give y_test too"):
        evaluate(identity, FakeSplit(np.ones((2, 2)), None), "classification")


def test_an_empty_split_is_refused() -> None:
    with pytest.raises(DataError, match="the test split holds zero samples"):
        evaluate(identity, FakeSplit(np.ones((0, 2)), np.ones(0)), "classification")


def test_labels_without_a_name_for_a_model_of_two_outputs_are_refused() -> None:
    with pytest.raises(DataError, match=r"the model gives 2 outputs \(a, b\), so labels need their names"):
        evaluate(lambda x: {"a": x["x"], "b": x["x"]}, FakeSplit(np.ones((1, 2)), np.zeros(1, int)), "classification")


def test_labels_for_an_output_that_is_not_there_are_refused() -> None:
    split = FakeSplit(np.ones((1, 2)), {"b": np.zeros(1, int)})
    with pytest.raises(DataError, match="labels for output 'b'; the model's outputs are out"):
        evaluate(identity, split, "classification")


def test_a_model_that_loses_samples_is_refused() -> None:
    split = FakeSplit(np.ones((3, 2)), np.zeros(3, int))
    with pytest.raises(DataError, match="gave 2 predictions of 'out' for 3 samples"):
        evaluate(lambda x: {"out": x["x"][:2]}, split, "classification")


@pytest.mark.parametrize(("task", "word"), [("classification", "labels"), ("regression", "targets")])
def test_predictions_of_another_shape_than_the_labels_are_refused(task: Any, word: str) -> None:
    split = FakeSplit(np.ones((2, 3, 4)), np.zeros((2, 2), int))
    with pytest.raises(DataError, match=rf"shape \(2, 3, 4\) do not fit {word} of shape \(2, 2\)"):
        evaluate(identity, split, task)


def test_a_regression_that_predicts_nan_is_refused() -> None:
    split = FakeSplit(np.array([[np.nan]]), np.array([[1.0]]))
    with pytest.raises(ModelError, match="predicts NaN or Inf"):
        evaluate(identity, split, "regression")

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from edge_runner.summary import wilson
from tfcompress.errors import DataError, ModelError
from tfcompress.evaluate import scoring
from tfcompress.tasks.regression import Regression
from tfcompress.tasks.task import NO_INPUTS, Evaluation, Inputs
from tfcompress.tasks.task_table import TASKS


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


def evaluate(split: FakeSplit, task: str = "classification", predict: Any = identity, **more: Any) -> Evaluation:
    return scoring.evaluate(predict, split, {"out": TASKS[task]}, **more)


def one_hot(truth: list[int], classes: int) -> np.ndarray:
    return np.eye(classes, dtype=np.float32)[truth]


def test_accuracy_is_the_share_of_right_predictions_with_its_wilson_interval() -> None:
    split = FakeSplit(one_hot([0, 1, 2, 2], 3), np.array([0, 1, 2, 0]))
    found = evaluate(split, batch_size=3)
    main = found.score.main_figure
    assert (found.score.task, found.score.samples, found.score.main) == ("classification", 4, "top1")
    assert (main.value, (main.low, main.high)) == (3 / 4, wilson(3, 4))
    assert found.outcomes.tolist() == [True, True, True, False]
    assert "top5" not in found.score.figures


def test_each_output_with_labels_has_its_own_score_and_the_first_is_the_main_one() -> None:
    def predict(x: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {"kind": x["x"], "size": x["x"][:, :1], "unlabelled": x["x"]}

    labels = {"kind": np.array([0, 1]), "size": np.array([[1.0], [3.0]], np.float32)}
    tasks = {"kind": TASKS["classification"], "size": TASKS["regression"]}
    score = scoring.evaluate(predict, FakeSplit(one_hot([0, 0], 2), labels), tasks).score
    assert score.main_figure.value == score.outputs["kind"].main_figure.value == 1 / 2
    assert score.outputs["size"].figures["mae"].value == (0 + 2) / 2


def test_limit_evaluates_the_first_samples_only() -> None:
    split = FakeSplit(one_hot([0, 0, 1], 2), np.array([0, 0, 0]))
    assert evaluate(split, limit=2).score.main_figure.value == 1.0


def test_progress_hears_of_every_sample() -> None:
    class Bar:
        done = 0.0

        def advance(self, steps: float = 1) -> None:
            self.done += steps

        def describe(self, text: str) -> None:
            raise AssertionError(text)

    bar = Bar()
    evaluate(FakeSplit(one_hot([0] * 5, 2), np.zeros(5, int)), batch_size=2, progress_task=bar)
    assert bar.done == 5


def test_a_split_without_labels_is_refused() -> None:
    with pytest.raises(DataError, match="the test split has no labels, and accuracy needs them; give y_test too"):
        evaluate(FakeSplit(np.ones((2, 2)), None))


def test_an_empty_split_is_refused() -> None:
    with pytest.raises(DataError, match="the test split holds zero samples"):
        evaluate(FakeSplit(np.ones((0, 2)), np.ones(0)))


def test_labels_without_a_name_for_a_model_of_two_outputs_are_refused() -> None:
    split = FakeSplit(np.ones((1, 2)), np.zeros(1, int))
    with pytest.raises(DataError, match=r"the model gives 2 outputs \(a, b\), so labels need their names"):
        evaluate(split, predict=lambda x: {"a": x["x"], "b": x["x"]})


def test_labels_for_an_output_that_is_not_there_are_refused() -> None:
    with pytest.raises(DataError, match="labels for output 'b'; the model's outputs are out"):
        evaluate(FakeSplit(np.ones((1, 2)), {"b": np.zeros(1, int)}))


def test_a_model_that_loses_samples_is_refused() -> None:
    split = FakeSplit(np.ones((3, 2)), np.zeros(3, int))
    with pytest.raises(DataError, match="gave 2 predictions of 'out' for 3 samples"):
        evaluate(split, predict=lambda x: {"out": x["x"][:2]})


@pytest.mark.parametrize(
    ("task", "word"), [("classification", "labels"), ("binary", "labels"), ("regression", "targets")]
)
def test_predictions_of_another_shape_than_the_labels_are_refused(task: str, word: str) -> None:
    split = FakeSplit(np.ones((2, 3, 4)), np.zeros((2, 2), int))
    with pytest.raises(DataError, match=rf"shape \(2, 3, 4\) do not fit {word} of shape \(2, 2\)"):
        evaluate(split, task)


def test_a_regression_that_predicts_nan_is_refused() -> None:
    split = FakeSplit(np.array([[np.nan]]), np.array([[1.0]]))
    with pytest.raises(ModelError, match="predicts NaN or Inf"):
        evaluate(split, "regression")


class Copying(Regression):
    """A task without labels: the outputs are compared with the inputs."""

    name = "copying"
    needs_labels = False

    def targets(self, inputs: Inputs, labels: np.ndarray | None) -> np.ndarray:
        return inputs["x"]

    def scorer(self) -> Any:
        task, counts = self, super().scorer()

        class Scorer:
            def add(self, outputs: np.ndarray, labels: np.ndarray | None, inputs: Inputs = NO_INPUTS) -> None:
                counts.add(outputs, task.targets(inputs, labels))

            def evaluation(self) -> Evaluation:
                return counts.evaluation()

        return Scorer()


def test_a_task_that_needs_no_labels_is_scored_by_the_inputs() -> None:
    split = FakeSplit(np.ones((4, 2), np.float32), None)
    found = scoring.evaluate(lambda x: {"out": x["x"] + 3}, split, {"out": Copying()})
    assert (found.score.main, found.score.main_figure.value) == ("mae", 3.0)


def test_the_output_that_needs_no_labels_is_scored_beside_one_that_has_them() -> None:
    split = FakeSplit(np.ones((4, 2), np.float32), {"size": np.zeros((4, 2), np.float32)})
    tasks = {"copy": Copying(), "size": TASKS["regression"]}
    found = scoring.evaluate(lambda x: {"size": x["x"], "copy": x["x"] + 3}, split, tasks).score
    assert list(found.outputs) == ["copy", "size"]
    assert [score.main_figure.value for score in found.outputs.values()] == [3.0, 1.0]
    assert found.main_figure.value == 3.0

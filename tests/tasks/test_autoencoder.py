from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edge_runner import accuracy
from tests.tasks.task_contract import SAMPLES, TaskContract
from tfcompress.errors import DataError, ModelError
from tfcompress.tasks.labelling import Labelling
from tfcompress.tasks.task import Evaluation
from tfcompress.tasks.task_table import TASKS, read_score, task_of
from tfcompress.tasks.traits import OutputTraits

AUTOENCODER = TASKS["autoencoder"]
SENSORS = {"sensors": (6,)}


class TestAnomalies(TaskContract):
    """Inputs are zeros; what comes out is small for normal samples and larger for anomalies, but for some noise."""

    name = "autoencoder"
    shape = (6,)
    inputs = SENSORS

    def stored(self, rng: np.random.Generator, count: int) -> np.ndarray:
        return rng.integers(0, 2, count)

    def outputs(self, labels: np.ndarray, noise: float, rng: np.random.Generator) -> np.ndarray:
        size = 1.0 + labels + noise * np.abs(rng.normal(size=labels.shape))
        return np.repeat(size[:, None], 6, axis=1).astype(np.float32)

    def targets(self, labels: np.ndarray, outputs: np.ndarray) -> np.ndarray:
        return self.task.targets({"sensors": np.zeros_like(outputs)}, labels)

    def evaluation(self, noise: float, count: int = SAMPLES, seed: int = 1, batch: int = 50) -> Evaluation:
        labels = self.encoded(count)
        return evaluated(self.outputs(labels, noise, np.random.default_rng(seed)), labels, batch=batch)

    def test_the_main_figure_is_the_mean_of_the_outcomes(self) -> None:
        found = self.evaluation(1.0)
        assert found.score.figures["mse"].value == pytest.approx(found.outcomes.mean())

    def test_the_device_finds_the_same_figures(self) -> None:
        labels = self.encoded()
        outputs = self.outputs(labels, 1.0, np.random.default_rng(1))
        zeros = np.zeros(6, np.float32)
        output = accuracy.Output(self.shape, input_shape=self.shape, sample=lambda _: zeros)
        there = accuracy.scorer(self.task.for_runner(labels), output)
        for start, each in enumerate(outputs):
            there.take(start, each[None])
        found = read_score(there.scorer.result())
        assert {n: f.value for n, f in found.figures.items()} == {
            n: f.value for n, f in self.evaluation(1.0).score.figures.items()
        }

    def test_a_much_worse_model_is_found_to_be_worse_and_the_other_way_round(self) -> None:
        good, bad = self.evaluation(0.05), self.evaluation(4.0)
        down, up = self.task.compare(good, bad), self.task.compare(bad, good)
        assert down is not None
        assert up is not None
        assert (down.figure, down.test, down.verdict, up.verdict) == ("auc", "DeLong", "worse", "better")
        assert (down.value, down.low, down.high) == pytest.approx((-up.value, -(up.high or 0), -(up.low or 0)))


def evaluated(outputs: Any, labels: Any, inputs: Any = None, windows_of: int = 1, batch: int = 50) -> Evaluation:
    scorer = AUTOENCODER.configured(Labelling(windows_of=windows_of)).scorer()
    outputs = np.asarray(outputs, np.float32)
    inputs = np.zeros_like(outputs) if inputs is None else np.asarray(inputs, np.float32)
    for start in range(0, len(outputs), batch):
        cut = slice(start, start + batch)
        scorer.add(outputs[cut], None if labels is None else np.asarray(labels)[cut], {"x": inputs[cut]})
    return scorer.evaluation()


def test_without_labels_the_error_is_what_counts() -> None:
    first, second = (evaluated(np.full((30, 6), size) + np.arange(30)[:, None] / 50, None) for size in (1.0, 2.0))
    assert (first.score.main, list(first.score.figures), first.score.chance) == ("mse", ["mse"], None)
    main = first.score.main_figure
    assert main.low is not None
    assert main.value is not None
    assert 0 <= main.low < main.value
    found = AUTOENCODER.compare(first, second)
    assert found is not None
    assert (found.figure, found.test, found.verdict) == ("mse", "paired t", "worse")


def test_with_labels_of_one_kind_only_the_error_is_known() -> None:
    assert evaluated(np.ones((4, 6)), [0, 0, 0, 0]).score.main == "mse"


def test_clips_are_scored_by_the_mean_over_their_windows() -> None:
    outputs = np.sqrt([1.0, 1, 9, 0, 2, 3])[:, None] * np.ones((6, 3))
    found = evaluated(outputs, [0, 0, 1, 1, 0, 0], windows_of=2, batch=4)
    assert found.outcomes.tolist() == pytest.approx([1.0, 4.5, 2.5])
    assert (found.score.samples, found.score.main_figure.value) == (3, 1.0)
    assert AUTOENCODER.configured(Labelling(windows_of=2)).options() == {"windows_of": 2}
    assert AUTOENCODER.options() == {}


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0, 0, 1, 1, 0], r"--windows-of 2 needs whole clips, and there are 5 samples; drop the rest"),
        ([0, 0, 1, 0], r"--windows-of 2 needs the windows of a clip to have one label, and samples 2 to 3 have both"),
    ],
)
def test_clips_are_whole_and_of_one_kind(labels: list[int], message: str) -> None:
    with pytest.raises(DataError, match=message):
        evaluated(np.ones((len(labels), 3)), labels, windows_of=2)


def test_what_is_compared_has_the_shape_of_the_only_input() -> None:
    scorer = AUTOENCODER.scorer()
    with pytest.raises(ModelError, match=r"needs outputs of the input's shape \(2, 4\), got \(2, 3\)"):
        scorer.add(np.ones((2, 3)), None, {"x": np.ones((2, 4))})
    with pytest.raises(ModelError, match="needs a model of one input, which its output is compared with, got 2"):
        scorer.add(np.ones((2, 3)), None, {"x": np.ones((2, 3)), "z": np.ones((2, 3))})
    with pytest.raises(ModelError, match="the model predicts NaN or Inf"):
        scorer.add(np.full((2, 3), np.nan), None, {"x": np.ones((2, 3))})


@pytest.mark.parametrize(
    ("labels", "shape", "inputs", "name"),
    [
        ([0, 1, 0], (6,), SENSORS, "autoencoder"),
        ([[0], [1], [0]], (6,), SENSORS, "autoencoder"),
        ([0, 1, 2], (6,), SENSORS, "classification"),
        ([0, 1, 0], (6,), {"sensors": (6,), "more": (6,)}, "classification"),
        ([0, 1, 0], (6,), {"sensors": (5,)}, "classification"),
        ([0, 1, 0], (2,), {"sensors": (2,)}, "classification"),
        (np.full((3, 6), 0.5), (6,), SENSORS, "regression"),
    ],
)
def test_an_output_like_the_only_input_makes_an_autoencoder(
    labels: Any, shape: tuple[int, ...], inputs: dict[str, tuple[int | None, ...]], name: str
) -> None:
    found = task_of(np.asarray(labels), shape, inputs)
    assert found is not None
    assert found.name == name


def test_the_loss_of_a_reconstruction_makes_no_classes_of_0_and_1() -> None:
    for loss in ("MeanSquaredError", "BinaryCrossentropy"):
        assert task_of(np.array([0, 1]), (6,), SENSORS, traits=OutputTraits(loss=loss)) is AUTOENCODER


def test_training_looks_at_normal_samples_and_at_the_input() -> None:
    assert AUTOENCODER.learnt(np.array([0, 1, 0])) is not None
    assert np.asarray(AUTOENCODER.learnt(np.array([0, 1, 0]))).tolist() == [True, False, True]
    x = np.ones((2, 6))
    assert AUTOENCODER.targets({"x": x}, None) is x


def test_labels_are_0_and_1() -> None:
    form = AUTOENCODER.form(np.zeros(2), (6,), "y_test")
    with pytest.raises(DataError, match=r"y_test must be whole numbers in 0\.\.1 .* sample 1 is 2"):
        AUTOENCODER.encode(np.array([0, 2]), np.arange(2), form)
    with pytest.raises(DataError, match=r"y_test has shape \(6,\) for each sample"):
        AUTOENCODER.encode(np.zeros((2, 6)), np.arange(2), form)

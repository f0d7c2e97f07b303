from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runner.scorers import auc
from tests.tasks.task_contract import TaskContract
from tfcompress.tasks.binary import Binary
from tfcompress.tasks.score import Score
from tfcompress.tasks.task_table import TASKS

BINARY = TASKS["binary"]


class TestLogits(TaskContract):
    name = "binary"
    shape = (1,)

    def stored(self, rng: np.random.Generator, count: int) -> np.ndarray:
        return rng.integers(0, 2, count)

    def outputs(self, labels: np.ndarray, noise: float, rng: np.random.Generator) -> np.ndarray:
        return np.float32(4 * labels - 2 + noise * rng.normal(size=labels.shape))


class TestProbabilities(TestLogits):
    shape = ()

    def outputs(self, labels: np.ndarray, noise: float, rng: np.random.Generator) -> np.ndarray:
        return 1 / (1 + np.exp(-super().outputs(labels, noise, rng).astype(np.float64).clip(-30, 30))).astype("f4")


def scored(outputs: Any, labels: Any) -> Score:
    scorer = BINARY.scorer()
    scorer.add(np.asarray(outputs), np.asarray(labels))
    return scorer.evaluation().score


@pytest.mark.parametrize("outputs", [[[0.9], [0.2], [0.6]], [[2.0], [-3.0], [0.1]]], ids=["probabilities", "logits"])
def test_probabilities_are_decided_at_half_and_logits_at_zero(outputs: list[list[float]]) -> None:
    score = scored(outputs, [[1.0], [0.0], [0.0]])
    assert score.figures["top1"].value == 2 / 3
    assert score.figures["auc"].value == 2 / 2  # the positive scores above both negatives


@given(st.lists(st.tuples(st.integers(-5, 5), st.booleans()), min_size=1, max_size=30))
def test_the_figures_are_those_of_counting_samples_and_pairs(samples: list[tuple[int, bool]]) -> None:
    outputs, labels = (np.array(column, float)[:, None] for column in zip(*samples, strict=True))
    threshold = 0.5 if outputs.min() >= 0 and outputs.max() <= 1 else 0
    score = scored(outputs, labels)
    assert score.figures["top1"].value == sum((s > threshold) == t for s, t in samples) / len(samples)
    ones, zeros = ([s for s, t in samples if t is wanted] for wanted in (True, False))
    if not ones or not zeros:
        assert "auc" not in score.figures
        return
    wins = sum((p > n) + (p == n) / 2 for p in ones for n in zeros)
    area = score.figures["auc"]
    assert area.value == pytest.approx(wins / (len(ones) * len(zeros)))
    assert area.value == auc([s for s, _ in samples], [t for _, t in samples])
    assert area.low is not None
    assert area.high is not None
    assert 0 <= area.low <= area.value <= area.high <= 1


def test_a_rare_answer_is_found_by_the_area_where_accuracy_cannot_show_it() -> None:
    labels = np.arange(400)[:, None] % 40 == 0  # 2.5 % of ones
    found = scored(np.where(labels, -1.0, -3.0), labels)  # never above the threshold, always in order
    assert found.main_figure.value == found.chance == 39 / 40
    assert BINARY.beats_chance(found) is True
    assert BINARY.beats_chance(scored(np.tile([[-3.0], [-1.0]], (200, 1)), labels)) is False


@pytest.mark.parametrize("library", ["keras", "tf_keras"])
@pytest.mark.parametrize("logits", [True, False])
def test_the_accuracy_of_the_history_is_decided_where_the_score_is(library: str, logits: bool, tmp_path: Path) -> None:
    """A logit of 0.2 means yes; Keras's own "accuracy" takes it for a probability below one half."""
    keras: Any = importlib.import_module(library)
    outputs = np.float32([[-3.0], [0.2], [0.4], [2.0]] if logits else [[0.1], [0.7], [0.4], [0.9]])
    labels = np.float32([[0], [1], [1], [1]])
    model = keras.Sequential([keras.layers.Input((1,)), keras.layers.Activation("linear")])
    model.compile(loss=BINARY.loss(outputs, keras), metrics=BINARY.metrics(outputs, keras))
    found = model.evaluate(outputs, labels, verbose=0, return_dict=True)
    assert found["accuracy"] == scored(outputs, labels).figures["top1"].value == (1.0 if logits else 3 / 4)
    model.save(tmp_path / "compiled.keras")
    again = keras.models.load_model(tmp_path / "compiled.keras")
    again.evaluate(outputs, labels, verbose=0)
    assert again.evaluate(outputs, labels, verbose=0, return_dict=True)["accuracy"] == found["accuracy"]


def test_the_threshold_of_the_training_split_is_told_to_the_device_and_scored_beside_one_half() -> None:
    labels = np.arange(40)[:, None] % 2
    outputs = np.where(labels, 0.3, 0.1) + np.linspace(0, 0.05, 40)[:, None]
    tuned = Binary().tuned(outputs, labels)
    scorer = tuned.scorer()
    scorer.add(outputs, labels)
    figures = scorer.evaluation().score.figures
    assert (figures["top1"].value, figures["tuned_top1"].value) == (1 / 2, 1)
    (threshold,) = tuned.options().values()
    assert outputs[labels == 0].max() < threshold < outputs[labels == 1].min()
    assert BINARY.options() == {}


@given(st.lists(st.tuples(st.integers(-5, 5), st.booleans()), min_size=1, max_size=30))
def test_f1_is_that_of_precision_and_recall(samples: list[tuple[int, bool]]) -> None:
    threshold = 0.5 if all(0 <= s <= 1 for s, _ in samples) else 0
    found = scored([[float(s)] for s, _ in samples], [[float(t)] for _, t in samples]).figures.get("f1")
    hits = sum(s > threshold and t for s, t in samples)
    given_1, are_1 = sum(s > threshold for s, _ in samples), sum(t for _, t in samples)
    if not given_1 and not are_1:
        assert found is None
        return
    precision, recall = (hits / count if count else 0 for count in (given_1, are_1))
    assert found is not None
    assert found.value == pytest.approx(2 * precision * recall / (precision + recall) if hits else 0)

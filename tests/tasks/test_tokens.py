from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tasks.task_contract import TaskContract
from tfcompress.errors import DataError
from tfcompress.tasks.labelling import Labelling
from tfcompress.tasks.task_table import TASKS, task_of
from tfcompress.tasks.tokens import PADDING, Tokens
from tfcompress.tasks.traits import OutputTraits

TOKENS = TASKS["tokens"]
STEPS, CLASSES = 6, 4


class TestSequences(TaskContract):
    name = "tokens"
    shape = (STEPS, CLASSES)

    def stored(self, rng: np.random.Generator, count: int) -> np.ndarray:
        labels = np.minimum(rng.geometric(0.5, (count, STEPS)) - 1, CLASSES - 1)  # one class is frequent
        lengths = rng.integers(2, STEPS + 1, (count, 1))
        return np.where(np.arange(STEPS) < lengths, labels, PADDING)

    def outputs(self, labels: np.ndarray, noise: float, rng: np.random.Generator) -> np.ndarray:
        shape = (*labels.shape, CLASSES)
        return (np.eye(CLASSES)[np.maximum(labels, 0)] * 4 + noise * rng.normal(size=shape)).astype(np.float32)


class TestOneHotSteps(TestSequences):
    def stored(self, rng: np.random.Generator, count: int) -> np.ndarray:
        return np.eye(CLASSES)[np.maximum(super().stored(rng, count), 0)]


def encoded(y: Any, shape: tuple[int, ...] = (2, 3), task: Any = TOKENS) -> list[Any]:
    array = np.asarray(y)
    found: list[Any] = task.encode(array, np.arange(len(array)), task.form(array, shape, "y_train")).tolist()
    return found


def test_padding_has_one_form() -> None:
    assert encoded([[1, -1], [2, 0]]) == [[1, -1], [2, 0]]
    assert encoded([[1.0, -1.0], [2.0, 0.0]]) == [[1, -1], [2, 0]]
    assert encoded([[[1], [-1]], [[2], [0]]]) == [[1, -1], [2, 0]]
    zero = TOKENS.configured(Labelling(ignore_label=0))
    assert encoded([[1, 0], [2, 0]], task=zero) == [[1, -1], [2, -1]]
    assert encoded(np.eye(3)[[[1, 0], [2, 0]]], task=zero) == [[1, -1], [2, -1]]
    hundred = TOKENS.configured(Labelling(ignore_label=-100))
    assert encoded([[1, -100], [2, -1]], task=hundred) == [[1, -1], [2, -1]]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (
            [[0, 1], [-100, 2]],
            r"class numbers, and -1 for padding, sample 1 has -100; give --ignore-label -100 if that",
        ),
        ([[0, 1], [3, 2]], r"whole numbers in 0\.\.2 .* sample 1 is 3 \(labels that start at 1\? subtract 1\)"),
        ([[0, 1, 1]], r"y_train has shape \(3,\) for each sample, the model's output wants \(2,\)"),
    ],
)
def test_labels_that_do_not_fit_are_refused(labels: list[list[int]], message: str) -> None:
    form = TOKENS.form(np.zeros((1, 2), int), (2, 3), "y_train")
    with pytest.raises(DataError, match=message):
        TOKENS.encode(np.asarray(labels), np.arange(len(labels)), form)


def test_one_hot_steps_must_all_be_so() -> None:
    y = np.eye(3)[[[0, 1], [2, 2]]]
    form = TOKENS.form(y, (2, 3), "y_train")
    y[1, 1] = 0
    message = r"one-hot at each step .* sample 8 is not; where there is padding, give class numbers and -1"
    with pytest.raises(DataError, match=message):
        TOKENS.encode(y, np.array([7, 8]), form)


def test_a_label_to_ignore_is_no_class() -> None:
    with pytest.raises(DataError, match=r"--ignore-label must be no class of the output \(1\.\.2\), got 2; label pad"):
        Tokens(2).form(np.zeros((1, 2), int), (2, 3), "y")


@pytest.mark.parametrize(
    ("labels", "shape", "name"),
    [
        (np.zeros((5, 7), int), (7, 3), "tokens"),
        (np.zeros((5, 7), int), (None, 3), "tokens"),
        (np.zeros((5,), int), (1, 3), "classification"),
        (np.full((5, 7, 3), 0.5), (7, 3), "regression"),
    ],
)
def test_an_axis_of_steps_makes_tokens(labels: np.ndarray, shape: tuple[int | None, ...], name: str) -> None:
    found = task_of(labels, shape)
    assert found is not None
    assert found.name == name


def test_the_loss_that_trains_classes_trains_tokens() -> None:
    compiled = OutputTraits(loss="SparseCategoricalCrossentropy")
    assert task_of(np.zeros((5, 7), int), (7, 3), traits=compiled) is TOKENS


def test_of_a_thousand_words_not_all_must_occur() -> None:
    y = np.array([[3, 998], [7, -1]])
    assert TOKENS.occurring(TOKENS.encode(y, np.arange(2), TOKENS.form(y, (2, 1000), "y")), (2, 1000)) is None


def test_perplexity_can_be_asked_for() -> None:
    asked = TOKENS.configured(Labelling(main_metric="perplexity"))
    assert (asked.options(), TOKENS.configured(Labelling()).options()) == ({"perplexity": True}, {})
    scorer = asked.scorer()
    scorer.add(np.zeros((2, 3, 8), np.float32), np.zeros((2, 3), np.int32))
    assert scorer.evaluation().score.figures["perplexity"].value == pytest.approx(8)


def test_a_model_of_the_next_token_has_its_perplexity() -> None:
    ids = np.random.default_rng(0).integers(0, 5, (8, 4))
    labels = np.c_[ids[:, 1:], np.zeros(8, int)].astype(np.int32)
    scorer = TOKENS.scorer()
    for start in range(0, 8, 3):
        batch = slice(start, start + 3)
        scorer.add(np.zeros((len(ids[batch]), 4, 5), np.float32), labels[batch], {"ids": ids[batch].astype(np.float32)})
    assert scorer.evaluation().score.figures["perplexity"].value == pytest.approx(5)


def test_padding_alone_has_no_score() -> None:
    scorer = TOKENS.scorer()
    scorer.add(np.zeros((2, 3, 4), np.float32), np.full((2, 3), PADDING, np.int32))
    with pytest.raises(DataError, match="a score needs steps that are no padding, got none"):
        scorer.evaluation()


def test_the_interval_covers_what_it_should() -> None:
    rng = np.random.default_rng(0)
    inside = 0
    for _ in range(200):
        lengths = rng.integers(1, STEPS + 1, (60, 1))
        chance = rng.choice([0.5, 0.9], (60, 1))  # the steps of a sequence go together
        right = rng.random((60, STEPS)) < chance
        labels = np.where(np.arange(STEPS) < lengths, 0, PADDING).astype(np.int32)
        scorer = TOKENS.scorer()
        scorer.add(np.eye(2, dtype=np.float32)[1 - right.astype(int)], labels)
        main = scorer.evaluation().score.main_figure
        assert main.low is not None
        assert main.high is not None
        inside += main.low <= 0.7 <= main.high
    assert 180 <= inside <= 198  # of 200: 95 %


@pytest.fixture(params=["keras", "tf_keras"])
def library(request: pytest.FixtureRequest) -> Any:
    return importlib.import_module(request.param)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_the_loss_is_the_mean_over_steps_that_count(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.integers(PADDING, 3, (4, 5)).astype(np.int32)
    labels[0, 0] = 1
    logits = rng.normal(size=(4, 5, 3)).astype(np.float32)
    shares = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    wanted = -np.mean([np.log(shares[i, t, labels[i, t]]) for i, t in np.argwhere(labels >= 0)])
    for name in ("keras", "tf_keras"):
        keras = importlib.import_module(name)
        for outputs in (logits, shares):
            assert float(TOKENS.loss(outputs, keras)(labels, outputs)) == pytest.approx(wanted, rel=1e-4)
            assert float(TOKENS.loss(outputs, keras)(np.full((4, 5), PADDING), outputs)) == 0


def test_keras_trains_without_padding_and_weighs_samples_or_steps(library: Any) -> None:
    inputs = library.Input((3, 2))
    model = library.Model(inputs, library.layers.Activation("linear")(inputs))
    x = np.array([[[2.0, 0], [0, 1], [0, 9]], [[0, 3], [1, 0], [5, 0]]], np.float32)
    y = np.array([[0, 0, PADDING], [1, PADDING, PADDING]], np.int32)
    losses = np.log(1 + np.exp([-2.0, 1.0, -3.0]))
    model.compile("sgd", loss=TOKENS.loss(x, library), metrics=TOKENS.metrics(x, library))
    assert model.evaluate(x, y, verbose=0) == pytest.approx([losses.mean(), 2 / 3])
    weighted = (losses[0] + losses[1] + 2 * losses[2]) / 3
    for weights in (np.array([1.0, 2.0]), np.array([[1.0] * 3, [2.0] * 3])):
        assert model.evaluate(x, y, sample_weight=weights, verbose=0)[0] == pytest.approx(weighted)

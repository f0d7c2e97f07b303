from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tfcompress.errors import DataError, UsageError
from tfcompress.evaluate import scoring
from tfcompress.models.samples import Samples
from tfcompress.tasks.metric import metric_of
from tfcompress.tasks.task import Evaluation
from tfcompress.tasks.task_table import TASKS

RNG = np.random.default_rng(0)


def evaluated(
    outputs: np.ndarray, labels: np.ndarray, task: str, metric: Any = None, main_metric: str | None = None
) -> Evaluation:
    held = scoring.HeldSamples("test", Samples({"x": outputs}, labels))
    metrics = {} if metric is None else {"out": [metric_of(metric)]}
    return scoring.evaluate(
        lambda x: {"out": x["x"]},
        held,
        {"out": TASKS[task]},
        metrics=metrics,
        main_metric=main_metric,
        batch_size=7,
    )


def spread(outputs: np.ndarray, labels: np.ndarray) -> float:
    return float(np.ptp(outputs - labels))


spread.better = "lower"  # type: ignore[attr-defined]  # as a user says it


def test_a_function_gets_all_outputs_and_labels() -> None:
    outputs, labels = RNG.normal(size=(30, 2)).astype(np.float32), RNG.normal(size=(30, 2)).astype(np.float32)
    score = evaluated(outputs, labels, "regression", spread).score
    figure = score.figures["spread"]
    assert (figure.value, figure.better, figure.unit) == (pytest.approx(np.ptp(outputs - labels)), "lower", "number")
    assert score.main == "mae"


def test_a_metric_of_keras_is_the_figure_of_all_batches(keras: Any) -> None:
    outputs, labels = RNG.random((40, 1)).astype(np.float32), (RNG.random((40, 1)) > 0.5).astype(np.float32)
    score = evaluated(outputs, labels, "binary", "Precision").score
    said_yes = outputs > 0.5
    assert score.figures["Precision"].value == pytest.approx(labels[said_yes].mean())


def test_the_main_figure_may_be_another_and_then_nothing_is_tested() -> None:
    outputs, labels = RNG.normal(size=(30, 1)).astype(np.float32), RNG.normal(size=(30, 1)).astype(np.float32)
    before, after = (evaluated(outputs * f, labels, "regression", main_metric="rmse") for f in (1, 2))
    assert (before.score.main, before.outcomes, before.score.chance) == ("rmse", None, None)
    found = TASKS["regression"].compare(before, after)
    assert found is not None
    assert (found.figure, found.verdict, found.better) == ("rmse", None, "lower")
    assert evaluated(outputs, labels, "regression", main_metric="mae").outcomes is not None


def test_logits_have_no_precision() -> None:
    with pytest.raises(DataError, match="--metric Precision takes probabilities, and output 'out' gives values beyond"):
        evaluated(np.array([[3.0]], np.float32), np.array([[1.0]], np.float32), "binary", "Precision")


def test_a_main_metric_that_was_not_measured_is_refused() -> None:
    with pytest.raises(UsageError, match=r"--main-metric must be a figure that was measured .*, got 'top5'"):
        evaluated(np.eye(3, dtype=np.float32), np.arange(3), "classification", main_metric="top5")


def test_a_function_that_fails_is_the_users_error() -> None:
    def broken(outputs: np.ndarray, labels: np.ndarray) -> float:
        return {}["a"]  # type: ignore[no-any-return]  # fails before

    with pytest.raises(UsageError, match="--metric broken failed: KeyError: 'a'"):
        evaluated(np.eye(3, dtype=np.float32), np.arange(3), "classification", broken)

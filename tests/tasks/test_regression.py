from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tests.tasks.task_contract import TaskContract
from tfcompress.tasks import regression
from tfcompress.tasks.label_form import LabelForm
from tfcompress.tasks.score import Score
from tfcompress.tasks.task_table import TASKS

REGRESSION = TASKS["regression"]


class TestOneTarget(TaskContract):
    name = "regression"
    shape = (1,)

    def stored(self, rng: np.random.Generator, count: int) -> np.ndarray:
        return rng.normal(size=count)

    def outputs(self, labels: np.ndarray, noise: float, rng: np.random.Generator) -> np.ndarray:
        return np.float32(labels + noise * rng.normal(size=labels.shape))


class TestSeveralTargets(TestOneTarget):
    shape = (3,)

    def stored(self, rng: np.random.Generator, count: int) -> np.ndarray:
        return rng.normal(size=(count, 3))


def scored(outputs: Any, labels: Any) -> Score:
    scorer = REGRESSION.scorer()
    scorer.add(np.asarray(outputs, np.float32), np.asarray(labels, np.float32))
    return scorer.evaluation().score


@given(
    hnp.arrays(np.float32, (6, 2), elements=st.integers(-9, 9)),
    hnp.arrays(np.float32, (6, 2), elements=st.integers(-9, 9)),
)
def test_the_figures_are_those_of_adding_errors_up(outputs: np.ndarray, labels: np.ndarray) -> None:
    score, errors = scored(outputs, labels), [float(a - b) for a, b in zip(outputs.flat, labels.flat, strict=True)]
    assert score.figures["mae"].value == pytest.approx(sum(map(abs, errors)) / 12)
    assert score.figures["rmse"].value == pytest.approx(math.sqrt(sum(e * e for e in errors) / 12))
    assert score.figures["largest_error"].value == max(map(abs, errors))
    spread = sum((y - sum(column) / 6) ** 2 for column in labels.T.tolist() for y in column)
    if spread:
        assert score.figures["r2"].value == pytest.approx(1 - sum(e * e for e in errors) / spread)
    else:
        assert "r2" not in score.figures
    constants = [min(sum(abs(y - c) for y in column) / 6 for c in column) for column in labels.T.tolist()]
    assert score.chance == pytest.approx(sum(constants) / 2)  # no constant is nearer than a median


def test_many_targets_are_thinned_out_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(regression, "KEPT_VALUES", 64)
    scorer, targets = REGRESSION.scorer(), np.arange(1000, dtype=np.float32)[:, None]
    for start in range(0, 1000, 30):
        scorer.add(targets[start : start + 30], targets[start : start + 30])
    kept = targets[::16]  # of 1000, the most that are no more than 64
    assert scorer.evaluation().score.chance == pytest.approx(np.mean(np.abs(kept - np.median(kept))))
    assert scorer.evaluation().score.chance == pytest.approx(250, rel=0.05)  # the mean distance from 499.5


def test_targets_of_several_sizes_have_no_constant() -> None:
    scorer = REGRESSION.scorer()
    scorer.add(np.zeros((2, 3), np.float32), np.ones((2, 3), np.float32))
    scorer.add(np.zeros((2, 2), np.float32), np.ones((2, 2), np.float32))
    found = scorer.evaluation().score
    assert (found.main_figure.value, found.chance) == (1, None)
    assert REGRESSION.beats_chance(found) is None


def test_one_sample_has_no_interval() -> None:
    main = scored([[1.5]], [[1.0]]).main_figure
    assert (main.value, main.low, main.high) == (0.5, None, None)


def test_whole_numbers_are_doubted() -> None:
    form = LabelForm((1,), "y_train")
    assert "y_train holds only whole numbers" in str(REGRESSION.doubt(form, whole=True))
    assert REGRESSION.doubt(form, whole=False) is None

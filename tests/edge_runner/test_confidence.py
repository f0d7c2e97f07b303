from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runner.confidence import CalibrationError
from edge_runner.scorers import ClassificationScorer


def error_of(scores, right, batch=None):
    error, right = CalibrationError(), np.asarray(right, bool)
    for start in range(0, len(scores), batch or len(scores)):
        error.add(np.asarray(scores[start : start + (batch or len(scores))]), right[start : start + (batch or 99)])
    return error.value


@given(st.lists(st.tuples(st.integers(0, 30), st.booleans()), min_size=1, max_size=25), st.integers(1, 9))
def test_it_is_that_of_sorting_answers_into_fifteen_bins(answers, batch):
    confidences, right = [0.5 + c / 61 for c, _ in answers], [r for _, r in answers]
    bins = {}
    for confidence, one in zip(confidences, right, strict=True):
        number = next(b for b in range(1, 16) if (b - 1) / 15 < confidence <= b / 15)
        bins.setdefault(number, []).append((confidence, one))
    wanted = sum(
        len(found) / len(answers) * abs(np.mean([one for _, one in found]) - np.mean([c for c, _ in found]))
        for found in bins.values()
    )
    found = error_of([[c, 1 - c] for c in confidences], right, batch)
    assert found == pytest.approx(wanted, abs=1e-9)
    assert found == error_of([[c, 1 - c] for c in confidences], right)


def test_logits_are_made_probabilities_of():
    logits = np.array([[2.0, -1.0, 0.5], [0.1, 3.0, -2.0], [-0.2, 0.4, 0.3]])
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert error_of(logits, [1, 0, 1]) == pytest.approx(error_of(probabilities, [1, 0, 1]))


def test_one_logit_anywhere_makes_logits_of_all():
    inside, outside = [[0.9, 0.1]], [[1.5, 0.1]]
    assert error_of(inside + outside, [1, 1], batch=1) == pytest.approx(
        np.mean([1 - 1 / (1 + np.exp(-0.8)), 1 - 1 / (1 + np.exp(-1.4))])
    )


def test_an_answer_that_is_no_number_has_no_confidence():
    assert error_of([[0.9, 0.1], [np.nan, 0]], [1, 0]) is None
    assert CalibrationError().value is None


def test_a_classification_is_told_its_own():
    scorer = ClassificationScorer(2)
    scorer.add(np.array([0, 1]), np.array([[0.8, 0.2], [0.8, 0.2]]))
    assert scorer.result()["calibration_error"] == pytest.approx(0.8 - 1 / 2)

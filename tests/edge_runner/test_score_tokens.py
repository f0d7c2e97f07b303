from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_runner.score_tokens import LEAST_PROBABILITY, PADDING, TokenScorer

STEPS, CLASSES = 4, 5


def scored(labels: Any, outputs: Any, **known: Any) -> dict[str, Any]:
    scorer = TokenScorer(np.asarray(outputs).shape[-1], **known)
    scorer.add(np.asarray(labels), np.asarray(outputs, np.float32))
    return scorer.result()


@st.composite
def sequences(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Labels with padding, and outputs on a coarse grid, so that there are ties."""
    count = draw(st.integers(1, 6))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    labels = rng.integers(PADDING, CLASSES, (count, STEPS))
    return labels, rng.integers(-3, 4, (count, STEPS, CLASSES)).astype(np.float32)


@settings(max_examples=60, deadline=None)
@given(sequences())
def test_the_figures_are_those_of_counting_step_by_step(drawn: tuple[np.ndarray, np.ndarray]) -> None:
    labels, outputs = drawn
    pairs = [
        (int(label), max(range(CLASSES), key=lambda c, row=row: (row[c], -c)), [float(v) for v in row])
        for label, row in zip(labels.reshape(-1), outputs.reshape(-1, CLASSES), strict=True)
        if label != PADDING
    ]
    found = scored(labels, outputs, perplexity=True)
    if not pairs:
        assert found["step_accuracy"] is found["macro_f1"] is found["perplexity"] is None
        return
    assert found["step_accuracy"] == sum(t == p for t, p, _ in pairs) / len(pairs)
    f1 = []
    for c in {t for t, _, _ in pairs} | {p for _, p, _ in pairs}:
        hits = sum(t == p == c for t, p, _ in pairs)
        f1.append(2 * hits / (sum(t == c for t, _, _ in pairs) + sum(p == c for _, p, _ in pairs)))
    assert found["macro_f1"] == pytest.approx(sum(f1) / len(f1))
    inside = all(0 <= v <= 1 for *_, row in pairs for v in row)
    weights = [[max(v, LEAST_PROBABILITY) if inside else math.exp(v) for v in row] for *_, row in pairs]
    entropy = sum(-math.log(row[t] / sum(row)) for (t, *_), row in zip(pairs, weights, strict=True)) / len(pairs)
    assert found["perplexity"] == pytest.approx(math.exp(entropy), rel=1e-6)


@settings(max_examples=30, deadline=None)
@given(sequences(), st.integers(1, 5))
def test_padding_and_batches_change_nothing(drawn: tuple[np.ndarray, np.ndarray], batch: int) -> None:
    labels, outputs = drawn
    other = np.where((labels == PADDING)[..., None], 1e6, outputs)
    cut = TokenScorer(CLASSES, perplexity=True)
    for start in range(0, len(labels), batch):
        cut.add(labels[start : start + batch], other[start : start + batch])
    assert cut.result() == scored(labels, outputs, perplexity=True)
    assert cut.steps.tolist() == (labels != PADDING).sum(axis=1).tolist()


def test_classes_that_never_occur_do_not_count() -> None:
    labels = np.array([[3, 700]])
    found = scored(labels, np.eye(1000)[labels])
    assert (found["step_accuracy"], found["macro_f1"]) == (1, 1)
    assert found["per_class"] == {"3": {"samples": 1, "right": 1}, "700": {"samples": 1, "right": 1}}


def test_the_perplexity_of_knowing_nothing_is_the_number_of_classes() -> None:
    labels = np.zeros((3, 2), int)
    for outputs in (np.full((3, 2, 8), 1 / 8), np.full((3, 2, 8), 5.0), np.zeros((3, 2, 8))):
        assert scored(labels, outputs, perplexity=True)["perplexity"] == pytest.approx(8)


def test_perplexity_is_given_for_models_that_predict_the_next_token() -> None:
    given_ids = np.array([[1, 2, 3, 0], [2, 1, 0, 0]])
    labels = np.array([[2, 3, 0, 1], [1, 0, PADDING, PADDING]])
    outputs = np.eye(4)[np.maximum(labels, 0)]
    assert scored(labels, outputs, sample=given_ids.astype(np.float32).__getitem__)["perplexity"] == pytest.approx(1)
    assert scored(labels, outputs, sample=labels.__getitem__)["perplexity"] is None
    assert scored(labels, outputs)["perplexity"] is None
    assert scored(labels, outputs, sample=given_ids[:, :2].__getitem__)["perplexity"] is None


def test_a_step_with_a_nan_is_wrong_and_has_no_perplexity() -> None:
    found = scored([[0, 1]], [[[np.nan, 0.0], [0.0, 1.0]]], perplexity=True)
    assert (found["step_accuracy"], found["perplexity"]) == (1 / 2, None)
    assert found["per_class"]["0"] == {"samples": 1, "right": 0}


def test_an_endless_perplexity_is_not_given() -> None:
    assert scored([[0]], [[[-1e30, 1e30]]], perplexity=True)["perplexity"] is None

from __future__ import annotations

import itertools
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_runner.score_autoencoder import AutoencoderScorer, partial_auc
from edge_runner.scorers import auc


def scored(labels: Any, outputs: Any, inputs: Any, windows_of: int = 1) -> dict[str, Any]:
    scorer = AutoencoderScorer(np.asarray(inputs, np.float32).__getitem__, windows_of)
    scorer.add(None if labels is None else np.asarray(labels), np.asarray(outputs, np.float32))
    return scorer.result()


@st.composite
def scores(draw: st.DrawFn) -> tuple[list[int], list[int]]:
    """Scores with many ties, and which of them are of anomalies: at least one, and not all."""
    values = draw(st.lists(st.integers(0, 6), min_size=2, max_size=30))
    truth = draw(st.lists(st.integers(0, 1), min_size=len(values), max_size=len(values)))
    return values, [0, 1, *truth[2:]]


def area_by_fractions(values: list[int], truth: list[int], most: Fraction) -> Fraction:
    """The area under the polygon of all thresholds, up to *most*, piece by piece and exactly."""
    ones = [v for v, t in zip(values, truth, strict=True) if t]
    zeros = [v for v, t in zip(values, truth, strict=True) if not t]
    points = [(Fraction(0), Fraction(0))]
    for threshold in sorted(set(values), reverse=True):
        alarms, found = sum(v >= threshold for v in zeros), sum(v >= threshold for v in ones)
        points.append((Fraction(alarms, len(zeros)), Fraction(found, len(ones))))
    area = Fraction(0)
    for (x0, y0), (x1, y1) in itertools.pairwise(points):
        end = min(x1, most)
        if end > x0:
            area += (end - x0) * (y0 + (y0 + (y1 - y0) * (end - x0) / (x1 - x0))) / 2
    return area


@settings(max_examples=100, deadline=None)
@given(scores(), st.sampled_from([Fraction(1, 10), Fraction(1, 3), Fraction(1)]))
def test_the_partial_area_is_that_under_the_polygon(drawn: tuple[list[int], list[int]], most: Fraction) -> None:
    values, truth = drawn
    least = most**2 / 2
    wanted = (1 + (area_by_fractions(values, truth, most) - least) / (most - least)) / 2
    assert partial_auc(values, truth, float(most)) == pytest.approx(float(wanted), abs=1e-12)


@settings(max_examples=50, deadline=None)
@given(scores())
def test_up_to_all_false_alarms_it_is_the_whole_area(drawn: tuple[list[int], list[int]]) -> None:
    assert partial_auc(*drawn, most_false_alarms=1.0) == pytest.approx(auc(*drawn))


@pytest.mark.parametrize(("values", "truth"), [([1, 2], [1, 1]), ([1, 2], [0, 0]), ([1, np.nan], [0, 1])])
def test_without_both_classes_there_is_no_partial_area(values: list[float], truth: list[int]) -> None:
    assert partial_auc(values, truth) is None


def test_a_perfect_order_is_1_and_the_reverse_less_than_chance() -> None:
    assert partial_auc([1, 2, 3, 4], [0, 0, 1, 1]) == 1
    assert partial_auc([1, 2, 3, 4], [1, 1, 0, 0]) == pytest.approx(0.5 * (1 - 0.1 / 1.9))


def test_the_error_of_a_sample_is_the_mean_square_over_its_values() -> None:
    inputs, outputs = [[0, 0], [1, 1], [2, 2]], [[0, 0], [1, 3], [2, 3]]
    found = scored([0, 1, 0], outputs, inputs)
    assert (found["mse"], found["auc"], found["partial_auc"], found["samples"]) == ((4 + 1) / 6, 1, 1, 3)
    unlabelled = scored(None, outputs, inputs)
    assert (unlabelled["mse"], unlabelled["auc"], unlabelled["partial_auc"]) == (found["mse"], None, None)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 4), st.integers(1, 6), st.integers(0, 2**32 - 1), st.integers(1, 7))
def test_a_clip_is_scored_by_the_mean_of_its_windows(windows_of: int, clips: int, seed: int, batch: int) -> None:
    rng = np.random.default_rng(seed)
    inputs, outputs = rng.normal(size=(2, clips * windows_of, 3)).astype(np.float32)
    truth = rng.integers(0, 2, clips)
    labels = np.repeat(truth, windows_of)
    scorer = AutoencoderScorer(inputs.__getitem__, windows_of)
    for start in range(0, len(outputs), batch):
        scorer.add(labels[start : start + batch], outputs[start : start + batch])
    by_hand = [
        sum(float(((outputs[i].astype(float) - inputs[i]) ** 2).mean()) for i in range(c, c + windows_of)) / windows_of
        for c in range(0, clips * windows_of, windows_of)
    ]
    assert scorer.errors == pytest.approx(by_hand)
    assert scorer.result()["samples"] == clips
    assert scorer.result()["auc"] == auc(scorer.errors, truth)
    assert scorer.result() == scored(labels, outputs, inputs, windows_of)


def test_outputs_that_are_no_numbers_have_no_figures() -> None:
    found = scored([0, 1], [[np.nan], [1]], [[0], [0]])
    assert found["mse"] is found["auc"] is found["partial_auc"] is None

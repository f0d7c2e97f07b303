from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from edge_runner.scorers import BinaryScorer
from edge_runner.thresholds import best_threshold


@given(st.lists(st.tuples(st.integers(-6, 6), st.integers(0, 1)), min_size=1, max_size=20))
def test_no_other_threshold_is_right_more_often(samples):
    scores, truth = (np.array(column, float) for column in zip(*samples, strict=True))
    found = best_threshold(scores, truth)
    every = [-7, *(level + half for level in range(-6, 7) for half in (0, 0.5))]
    assert np.sum((scores > found) == truth) == max(np.sum((scores > cut) == truth) for cut in every)


def test_a_threshold_lies_half_way_between_neighbours():
    assert best_threshold([0.1, 0.5, 0.3], [0, 1, 0]) == 0.4


def test_where_one_class_is_all_there_is_it_is_always_given():
    assert best_threshold([1.0, 2.0], [0, 0]) == 2.0
    assert best_threshold([1.0, 2.0], [1, 1]) < 1.0


def test_there_is_none_without_numbers():
    assert best_threshold([], []) is None
    assert best_threshold([0.0, np.nan], [0, 1]) is None


def test_a_scorer_tells_how_often_a_threshold_from_elsewhere_is_right():
    scorer = BinaryScorer(tuned=0.3)
    scorer.add(np.array([0, 1, 1, 0]), np.array([[0.2], [0.4], [0.7], [np.nan]]))
    result = scorer.result()
    assert (result["top1"], result["tuned_top1"], result["tuned_threshold"]) == (2 / 4, 3 / 4, 0.3)

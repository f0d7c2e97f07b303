from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edge_runner import score_multi_label
from edge_runner.score_multi_label import MultiLabelScorer, average_precision

SHAPE = st.tuples(st.integers(1, 8), st.just(3))
TRUTH = SHAPE.flatmap(lambda shape: st.tuples(*(hnp.arrays(int, shape, elements=st.integers(0, k)) for k in (1, 10))))


def scored(truth, outputs, batch=3, each=False):
    scorer = MultiLabelScorer(truth.shape[-1], each=each)
    for start in range(0, len(truth), batch):
        scorer.add(truth[start : start + batch], outputs[start : start + batch])
    return scorer


def f1(tp, fp, fn):
    return 2 * tp / (2 * tp + fp + fn)


@given(TRUTH, st.sampled_from([(0.1, 0.0, 0.5), (1.0, -5.0, 0.0)]), st.integers(1, 8))
def test_the_figures_are_those_of_counting(pair, scale, batch):
    truth, outputs = pair[0], pair[1] * scale[0] + scale[1]
    threshold = 0.5 if outputs.min() >= 0 and outputs.max() <= 1 else 0.0
    counts = [[0, 0, 0] for _ in range(3)]
    for row, output in zip(truth, outputs, strict=True):
        for tag in range(3):
            given_tag = output[tag] > threshold
            for place, hit in enumerate((row[tag] and given_tag, given_tag and not row[tag], row[tag] > given_tag)):
                counts[tag][place] += bool(hit)
    result = scored(truth, outputs, batch).result()
    known = {str(tag): f1(*found) for tag, found in enumerate(counts) if any(found)}
    assert result["class_f1"] == pytest.approx(known)
    if known:
        assert result["macro_f1"] == pytest.approx(np.mean(list(known.values())))
        assert result["micro_f1"] == pytest.approx(f1(*np.sum(counts, axis=0)))
    else:
        assert result["macro_f1"] is result["micro_f1"] is None
    assert result["threshold"] == threshold
    assert result["per_class"] == {str(t): {"samples": tp + fn, "right": tp} for t, (tp, fp, fn) in enumerate(counts)}


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 1)), min_size=1, max_size=12))
def test_average_precision_is_the_area_of_the_steps(samples):
    ones = sum(truth for _, truth in samples)
    scores, truth = (np.array(column) for column in zip(*samples, strict=True))
    if not ones:
        assert average_precision(scores, truth) is None
        return
    area, before = 0.0, 0.0
    for level in range(4, -1, -1):
        above = [t for s, t in samples if s >= level]
        if above and sum(s == level for s, _ in samples):
            recall = sum(above) / ones
            area += (recall - before) * sum(above) / len(above)
            before = recall
    assert average_precision(scores, truth) == pytest.approx(area)


def test_mean_average_precision_is_over_the_tags_that_occur():
    truth, outputs = np.array([[1, 0, 0], [0, 1, 0]]), np.array([[0.9, 0.8, 0.7], [0.2, 0.3, 0.1]])
    # the first tag's only sample comes first; the second's comes second; the third has none
    assert scored(truth, outputs).result()["mean_ap"] == (1 + 1 / 2) / 2


def test_more_outputs_than_are_kept_have_no_average_precision(monkeypatch):
    monkeypatch.setattr(score_multi_label, "MOST_RANKED", 8)
    truth, outputs = np.eye(3, dtype=int), np.eye(3) * 0.9
    result = scored(truth, outputs, batch=1).result()
    assert (result["mean_ap"], result["macro_f1"]) == (None, 1)


def test_an_output_that_is_no_number_is_wrong():
    result = scored(np.array([[1, 0]]), np.array([[np.nan, np.nan]])).result()
    assert (result["macro_f1"], result["mean_ap"], result["threshold"]) == (0, None, 0.5)


def test_every_position_of_a_sample_is_counted():
    truth, outputs = np.array([[[1, 0], [1, 1]]]), np.array([[[0.9, 0.1], [0.2, 0.8]]])
    assert scored(truth, outputs).result()["class_f1"] == {"0": f1(1, 0, 1), "1": f1(1, 0, 0)}


@given(TRUTH)
def test_no_constant_answer_has_a_higher_macro_f1(pair):
    truth = pair[0]
    scorer = scored(truth, pair[1] / 10, each=True)
    if scorer.constant is None:
        assert not truth.any()
        return
    every = np.stack(np.meshgrid([0, 1], [0, 1], [0, 1]), -1).reshape(-1, 3)
    found = [scored(truth, np.tile(tags, (len(truth), 1)).astype(float)).result()["macro_f1"] for tags in every]
    assert scorer.constant == pytest.approx(max(one for one in found if one is not None))

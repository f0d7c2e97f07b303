from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edge_runner.segmentation import SegmentationScorer

CLASSES = 3
MAPS = st.tuples(
    hnp.arrays(int, (4, 2, 3), elements=st.sampled_from([0, 1, 2, 9])),
    hnp.arrays(int, (4, 2, 3), elements=st.integers(0, 2)),
)


def scored(truth, outputs, batch=2, kind="scores", **options):
    scorer = SegmentationScorer(2 if kind == "mask" else CLASSES, kind, **options)
    for start in range(0, len(truth), batch):
        scorer.add(truth[start : start + batch], outputs[start : start + batch])
    return scorer


@given(MAPS, st.integers(1, 4))
def test_the_figures_are_those_of_sets_of_pixels(maps, batch):
    truth, predicted = maps
    result = scored(truth, np.eye(CLASSES)[predicted], batch, void=9).result()
    places = [place for place in np.ndindex(truth.shape) if truth[place] != 9]
    shares = {}
    for c in range(CLASSES):
        meant, given_class = ({place for place in places if m[place] == c} for m in (truth, predicted))
        if meant | given_class:
            shares[str(c)] = len(meant & given_class) / len(meant | given_class)
    assert result["class_iou"] == pytest.approx(shares)
    if not places:
        assert result["mean_iou"] is result["pixel_accuracy"] is None
        return
    assert result["mean_iou"] == pytest.approx(np.mean(list(shares.values())))
    assert result["pixel_accuracy"] == sum(truth[place] == predicted[place] for place in places) / len(places)


@given(MAPS)
def test_no_way_of_guessing_has_a_higher_mean(maps):
    truth = maps[0]
    scorer = scored(truth, np.eye(CLASSES)[maps[1]], void=9)
    p = np.array([np.mean(truth[truth != 9] == c) for c in np.unique(truth[truth != 9])])
    if not len(p):
        assert scorer.constant is None
        return
    guesses = np.random.default_rng(0).dirichlet(np.ones(len(p)) / 2, 500)
    means = (p * guesses / (p + guesses - p * guesses)).mean(axis=1)
    assert means.max() <= scorer.constant + 1e-9
    assert means.max() >= 0.9 * scorer.constant


def test_what_each_sample_contributes_has_the_mean_for_its_mean():
    rng = np.random.default_rng(0)
    truth, outputs = rng.integers(0, CLASSES, (20, 4, 4)), rng.normal(size=(20, 4, 4, CLASSES))
    scorer = scored(truth, outputs, each=True)
    assert scorer.outcomes.shape == (20,)
    assert scorer.outcomes.mean() == pytest.approx(scorer.result()["mean_iou"])


def test_a_mask_is_decided_for_all_samples_alike():
    truth = np.array([[[0, 1]], [[1, 0]]])
    outputs = np.array([[[0.2, 0.9]], [[3.0, -1.0]]])[..., None]  # logits, as only the second sample shows
    assert scored(truth, outputs, batch=1, kind="mask").result()["pixel_accuracy"] == 3 / 4


def test_a_negative_void_does_not_count():
    truth = np.array([[[0, -1]]])
    assert scored(truth, np.eye(CLASSES)[[[[0, 2]]]], void=-1).result()["mean_iou"] == 1

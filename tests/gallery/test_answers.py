"""Outputs of two files read as answers."""

from __future__ import annotations

import numpy as np
import pytest

from tfcompress.gallery.answers import answer_pair
from tfcompress.tasks.task_table import TASKS

ONE_HOT = np.eye(3, dtype=np.float32)


def test_a_class_of_several_changes_with_the_largest_output():
    before = np.array([[0.6, 0.3, 0.1], [0.2, 0.7, 0.1]], np.float32)
    after = np.array([[0.3, 0.6, 0.1], [0.2, 0.7, 0.1]], np.float32)
    pair = answer_pair(before, after, np.array([0, 1]), TASKS["classification"], ("cat", "dog", "owl"))
    assert pair.kind == "class"
    assert pair.moved.tolist() == [1.0, 0.0]
    assert pair.right(0) == (True, False)
    assert pair.words(pair.before, 0, before) == "cat, 60 %"
    assert pair.words(pair.after, 0, after) == "dog, 60 %"
    assert pair.margins[0] == pytest.approx(0.3)
    found = pair.confusions()
    assert found is not None
    assert found.before == ((1, 0, 0), (0, 1, 0), (0, 0, 0))
    assert found.after == ((0, 1, 0), (0, 1, 0), (0, 0, 0))


def test_soft_labels_are_the_largest_share():
    soft = np.array([[0.2, 0.5, 0.3]], np.float32)
    pair = answer_pair(ONE_HOT[:1], ONE_HOT[1:2], soft, TASKS["classification"], ())
    assert pair.right(0) == (False, True)
    assert pair.words(pair.labels, 0) == "class 1"


@pytest.mark.parametrize("values", [([[0.4], [0.9]], [[0.6], [0.9]]), ([[-1.0], [3.0]], [[2.0], [3.0]])])
def test_yes_or_no_is_told_by_probabilities_and_by_logits(values):
    before, after = (np.array(each, np.float32) for each in values)
    pair = answer_pair(before, after, np.array([[0], [1]]), TASKS["binary"], ())
    assert pair.kind == "class"
    assert pair.moved.tolist() == [1.0, 0.0]
    assert pair.right(0) == (True, False)
    assert pair.confusions() is not None


def test_tags_are_named():
    before = np.array([[0.9, 0.8, 0.1]], np.float32)
    after = np.array([[0.9, 0.2, 0.1]], np.float32)
    pair = answer_pair(before, after, np.array([[1, 1, 0]]), TASKS["multi-label"], ("a", "b", "c"))
    assert pair.kind == "tags"
    assert pair.words(pair.before, 0, before) == "a, b"
    assert pair.words(pair.after, 0, after) == "a"
    assert pair.right(0) == (True, False)
    assert pair.confusions() is None


@pytest.mark.parametrize("channels", [1, 2])
def test_masks_are_told_by_the_share_of_their_pixels(channels):
    labels = np.zeros((1, 4, 4), np.int32)
    labels[0, :2] = 1
    high = labels.astype(np.float32) * 0.8 + 0.1
    before = high[..., np.newaxis] if channels == 1 else np.stack([1 - high, high], -1)
    after = before.copy()
    after[0, 0, 0] = 0.1 if channels == 1 else [0.9, 0.1]
    pair = answer_pair(before, after, labels, TASKS["segmentation"], ())
    assert pair.kind == "mask"
    assert pair.moved.tolist() == [1 / 16]
    assert pair.words(pair.before, 0, before) == "all right"
    assert pair.words(pair.after, 0, after) == "93.8 % of its pixels right"
    assert [shown.title for shown in pair.masks(0)] == ["label", "float", "result"]
    found = pair.confusions()
    assert found is not None
    assert found.after == ((8, 0), (1, 7))


def test_labels_that_do_not_count_are_not_counted():
    outputs = np.zeros((1, 2, 2, 2), np.float32)
    pair = answer_pair(outputs, outputs, np.array([[[0, 255], [1, 255]]]), TASKS["segmentation"], ())
    found = pair.confusions()
    assert found is not None
    assert found.before == ((1, 0), (1, 0))


def test_steps_have_a_class_each():
    before, after = ONE_HOT[np.array([[0, 1, 2, 0]])], ONE_HOT[np.array([[0, 1, 1, 0]])]
    pair = answer_pair(before, after, np.array([[0, 1, 2, 0]]), TASKS["tokens"], ())
    assert pair.kind == "steps"
    assert pair.moved.tolist() == [0.25]
    assert pair.words(pair.after, 0, after) == "75.0 % of its steps right"


def test_numbers_move_by_their_rms_over_the_spread():
    before = np.array([[0.0], [2.0]], np.float32)
    pair = answer_pair(
        before, before + np.array([[0.0], [0.5]], np.float32), np.array([[0.1], [2.2]]), TASKS["regression"], ()
    )
    assert pair.kind == "numbers"
    assert pair.moved.tolist() == [0.0, 0.5]  # the spread of 0 and 2 is 1
    assert pair.right(1) is None
    assert pair.words(pair.after, 1) == "2.5"
    assert pair.confusions() is None


def test_without_labels_nothing_is_right_or_wrong():
    pair = answer_pair(ONE_HOT, ONE_HOT[::-1], None, TASKS["classification"], ())
    assert pair.right(0) is None
    assert pair.confusions() is None

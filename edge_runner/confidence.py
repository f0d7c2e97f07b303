"""How far a classifier's confidence is from how often it is right."""

from __future__ import annotations

import numpy as np

from edge_runner.ndarray import Array

BINS = 15
_ONE = 1 << 40
"""Confidences are summed as whole numbers of this part, so that the sum does not depend on how samples were batched."""


class CalibrationError:
    """The expected calibration error over 15 bins of equal width (Guo et al. 2017, arXiv:1706.04599, equation 3).

    ``sum over bins of n_b / n * |right_b / n_b - confidence_b|``, where an answer's confidence is its largest
    probability and bin b holds the confidences in ``((b - 1) / 15, b / 15]``. Outputs that all lie in [0, 1] are taken
    as probabilities, others as logits (softmax makes probabilities of them); which one is known at the end, so both are
    counted until then.
    """

    def __init__(self) -> None:
        self._probabilities = True
        self._finite = True
        # of outputs taken as probabilities, and as logits: answers, right ones, and the sum of confidences
        self._bins = [[[0, 0, 0] for _ in range(BINS)] for _ in range(2)]

    def add(self, scores: Array, right: Array) -> None:
        """Count a batch.

        Args:
            scores: (answers, classes) reals.
            right: (answers,) whether the largest is the true class's.
        """
        scores = scores.astype(np.float64)
        self._finite &= bool(np.isfinite(scores).all())
        if not self._finite or not len(scores):
            return
        largest = scores.max(axis=1)
        self._probabilities &= bool(scores.min() >= 0 and largest.max() <= 1)
        if self._probabilities:
            self._count(0, largest, right)
        # exp(0) is the largest term: the softmax's largest probability is one over the sum
        self._count(1, 1 / np.exp(scores - largest[:, None]).sum(axis=1), right)

    def _count(self, place: int, confidence: Array, right: Array) -> None:
        number = np.clip(np.ceil(confidence * BINS).astype(np.int64) - 1, 0, BINS - 1)
        parts = np.rint(confidence * _ONE).astype(np.int64)
        for found in np.unique(number).tolist():
            inside = number == found
            counted = self._bins[place][found]
            counted[0] += int(np.count_nonzero(inside))
            counted[1] += int(np.count_nonzero(right[inside]))
            counted[2] += int(parts[inside].sum())

    @property
    def value(self) -> float | None:
        """The error, in [0, 1]; None without answers, or when an output is not finite."""
        bins = self._bins[0 if self._probabilities else 1]
        answers = sum(counted[0] for counted in bins)
        if not answers or not self._finite:
            return None
        return sum(abs(right * _ONE - confidence) for _, right, confidence in bins) / (answers * _ONE)

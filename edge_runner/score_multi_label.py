"""How right a model is that gives every sample any number of tags: labels are rows of 0 and 1."""

from __future__ import annotations

from array import array
from typing import Any

import numpy as np

from edge_runner.ndarray import Array
from edge_runner.ratios import Ratios
from edge_runner.scorers import empty

THRESHOLDS = (0.5, 0.0)
"""What an output must exceed to give its tag: a probability, a logit."""
MOST_RANKED = 1 << 24
"""So many outputs are kept to be put in order; of more, average precision is not reported."""


def average_precision(scores: Array, truth: Array) -> float | None:
    """Return ``sum over thresholds of (recall - recall before) * precision``, not interpolated.

    Equal scores are passed together: none of them comes first. (Buckley & Voorhees 2000, SIGIR, page 33, without ties.)

    Args:
        scores: (samples,) reals.
        truth: (samples,) of 0 and 1.

    Returns:
        None when class 1 is missing or a score is no number.
    """
    ones = int(np.count_nonzero(truth))
    if not ones or np.isnan(scores).any():
        return None
    order = np.argsort(-scores, kind="stable")
    last = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))
    found = np.cumsum(truth[order] != 0)[last]
    return float((np.diff(found, prepend=0) * (found / (last + 1))).sum() / ones)


class MultiLabelScorer:
    """Counts tags given rightly, wrongly and not at all.

    The F1 of a tag is ``2 TP / (2 TP + FP + FN)`` at the threshold; macro F1 is the mean over the tags that occur in
    the labels or among the predictions, micro F1 that of all tags' counts together. Outputs that all lie in [0, 1] are
    probabilities (threshold 0.5), others logits (threshold 0). An output that is no number is wrong.

    Args:
        tags: how many there are: the output's last axis. Positions before it are counted each.
        each: keep what :attr:`outcomes` needs of each sample.
    """

    task = "multi-label"
    predictions = None
    right = None

    def __init__(self, tags: int, each: bool = False) -> None:
        self.tags = tags
        self.samples = 0
        self.positives = np.zeros(tags, np.int64)
        self.probabilities = True
        self._answers = 0
        self._hits = np.zeros((len(THRESHOLDS), tags), np.int64)
        self._ratios = [Ratios(tags, each=each) for _ in THRESHOLDS]
        self._outputs: array[float] | None = array("f")
        self._truth = array("b")

    def add(self, labels: Array, outputs: Array) -> None:
        """Score a batch: labels and the real-valued outputs, both (samples, ..., tags)."""
        shape = (len(outputs), -1, self.tags)
        truth, outputs = np.asarray(labels).reshape(shape) == 1, outputs.reshape(shape)
        lost = np.isnan(outputs)
        self.samples += len(outputs)
        self._answers += truth.shape[0] * truth.shape[1]
        self.positives += truth.sum(axis=(0, 1))
        self.probabilities &= bool((((outputs >= 0) & (outputs <= 1)) | lost).all())
        for place, threshold in enumerate(THRESHOLDS):
            given = np.where(lost, ~truth, outputs > threshold)
            hits = (given & truth).sum(axis=1)
            self._hits[place] += hits.sum(axis=0)
            self._ratios[place].add(2 * hits, given.sum(axis=1) + truth.sum(axis=1))  # 2 TP + FP + FN
        self._keep(truth, outputs)

    def _keep(self, truth: Array, outputs: Array) -> None:
        if self._outputs is None:
            return
        if len(self._outputs) + outputs.size > MOST_RANKED:
            self._outputs, self._truth = None, array("b")
            return
        self._outputs.frombytes(outputs.astype(np.float32).tobytes())
        self._truth.frombytes(truth.astype(np.int8).tobytes())

    @property
    def _place(self) -> int:
        return 0 if self.probabilities else 1

    @property
    def outcomes(self) -> Array:
        """What each sample contributes to macro F1, (samples,) float64; see :attr:`edge_runner.ratios.Ratios.outcomes`.

        Their mean is macro F1.
        """
        return self._ratios[self._place].outcomes

    @property
    def constant(self) -> float | None:
        """Macro F1 of always giving every tag that occurs: the mean of ``2 p / (1 + p)``; None where none does."""
        shares = self.positives[self.positives > 0] / max(self._answers, 1)
        return float((2 * shares / (1 + shares)).mean()) if len(shares) else None

    def result(self) -> dict[str, Any]:
        """Return F1 over all tags and of each, and mean average precision over the tags that occur."""
        ratios, hits = self._ratios[self._place], self._hits[self._place]
        precisions = [found for found in self._precisions() if found is not None]
        return {
            **empty(self.task, self.samples),
            "macro_f1": ratios.mean,
            "micro_f1": ratios.together,
            "mean_ap": sum(precisions) / len(precisions) if precisions else None,
            "threshold": THRESHOLDS[self._place],
            "class_f1": ratios.by_class,
            "per_class": {
                str(tag): {"samples": int(count), "right": int(hits[tag])} for tag, count in enumerate(self.positives)
            },
        }

    def _precisions(self) -> list[float | None]:
        if self._outputs is None or not len(self._outputs):
            return []
        outputs = np.asarray(self._outputs).reshape(-1, self.tags)
        truth = np.asarray(self._truth).reshape(-1, self.tags)
        if np.isnan(outputs).any():
            return []
        return [average_precision(outputs[:, tag], truth[:, tag]) for tag in range(self.tags)]

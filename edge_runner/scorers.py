"""How right a model is, output by output: each scorer takes batches of samples and keeps little of them.

tfcompress scores by these, too: a figure on the device and the same figure at the desk come from one function.
"""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from edge_runner.confidence import CalibrationError
from edge_runner.distinct import DistinctValues
from edge_runner.ndarray import Array
from edge_runner.spread import Spread
from edge_runner.summary import wilson

NONE = -1
"""The class that an output which is not a number predicts."""
TOP = 5
"""Top-5 accuracy is given for more classes than this."""
NAMES = (
    *("top1", "top1_low", "top1_high", "top5", "mae", "rmse", "auc", "mean_iou", "class_iou", "threshold"),
    *("per_class", "confusion", "predictions"),
)


def empty(task: str, samples: int) -> dict[str, Any]:
    """Return a score in which nothing was measured."""
    return {"task": task, "samples": samples, **dict.fromkeys(NAMES)}


def bits(right: Sequence[int]) -> str:
    """Return ``SAMPLES:HEX`` of what is 1 where a sample was right; see :func:`edge_runner.mcnemar.compare_scored`."""
    return f"{len(right)}:{np.packbits(np.asarray(right, np.uint8)).tobytes().hex() or '0'}"


def auc(scores: Sequence[float] | Array, truth: Sequence[int] | Array) -> float | None:
    """Return the area under the ROC curve: the chance that a sample of class 1 has the higher score, ties one half.

    By the rank sum (Mann & Whitney 1947, Annals of Mathematical Statistics 18:50).

    Args:
        scores: (samples,) reals.
        truth: (samples,) of 0 and 1.

    Returns:
        None when one class is missing or a score is no number.
    """
    values, positive = np.asarray(scores, np.float64), np.asarray(truth) == 1
    ones = int(positive.sum())
    zeros = len(values) - ones
    if not ones or not zeros or np.isnan(values).any():
        return None
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    mean_rank = np.cumsum(count) - (count - 1) / 2
    return float((mean_rank[place.reshape(-1)][positive].sum() - ones * (ones + 1) / 2) / (ones * zeros))


def ranks(scores: Array, truth: Array) -> Array:
    """Return at which place the true class comes, 0 for the highest score.

    Equal scores (common among int8 outputs) go by class number, as argmax does. A row with NaN puts every class last.

    Args:
        scores: (samples, classes).
        truth: (samples,) class numbers.

    Returns:
        (samples,) whole numbers in 0..classes.
    """
    own = np.take_along_axis(scores, truth[:, None].astype(np.int64), axis=1)
    before = np.arange(scores.shape[1]) < truth[:, None]
    rank: Array = np.count_nonzero((scores > own) | ((scores == own) & before), axis=1)
    if scores.dtype.kind == "f":
        rank = np.where(np.isnan(scores).any(axis=1), scores.shape[1], rank)
    return rank


class ClassificationScorer:
    """Counts of right answers; labels are class numbers, one a sample, or one for each position of a sample.

    Ties go to the lower class number, as numpy's argmax gives them. An output with a NaN in it is wrong.
    """

    task = "classification"

    def __init__(self, classes: int) -> None:
        self.classes = classes
        self.right_in_five = 0
        self.positions = 1
        self.cells: Counter[tuple[int, int]] = Counter()
        self._confidence = CalibrationError()
        self._predictions = array("i")
        self._outcomes = array("d")

    def add(self, labels: Array, outputs: Array) -> None:
        """Score a batch.

        Args:
            labels: (samples, ...) class numbers.
            outputs: (samples, ..., classes) reals.
        """
        scores, truth = outputs.reshape(-1, self.classes), np.asarray(labels).reshape(-1).astype(np.int64)
        rank = ranks(scores, truth)
        self.right_in_five += int(np.count_nonzero(rank < TOP))
        self._confidence.add(scores, rank == 0)
        self._count(len(outputs), truth, np.where(rank < self.classes, scores.argmax(axis=1), NONE))

    def _count(self, samples: int, truth: Array, predicted: Array) -> None:
        if not samples:
            return
        self.positions = max(self.positions, len(truth) // samples)
        least = int(predicted.min())
        span = int(predicted.max()) - least + 1
        codes, counts = np.unique(truth * span + (predicted.astype(np.int64) - least), return_counts=True)
        for code, count in zip(codes.tolist(), counts.tolist()):
            self.cells[code // span, code % span + least] += count
        self._outcomes.frombytes((truth == predicted).reshape(samples, -1).mean(axis=1).tobytes())
        if self.positions == 1:
            self._predictions.frombytes(predicted.astype(np.intc).tobytes())

    @property
    def predictions(self) -> list[int] | None:
        """The class of each sample; None where a sample has several."""
        return list(self._predictions) if self.positions == 1 else None

    @property
    def outcomes(self) -> Array:
        """The fraction of each sample's positions that are right, (samples,) float64: 0 or 1 for a single one."""
        return np.array(self._outcomes)

    @property
    def right(self) -> str | None:
        """Which samples were right; None where a sample has several answers."""
        return bits([int(outcome) for outcome in self._outcomes]) if self.positions == 1 else None

    def result(self) -> dict[str, Any]:
        """Return the fractions right, by class too, and what was taken for what."""
        fractions = _fractions(self.task, self.cells, len(self._outcomes))
        top5 = self.right_in_five / sum(self.cells.values()) if self.classes > TOP else None
        interval = {} if self.positions == 1 else {"top1_low": None, "top1_high": None}  # positions go together
        return {**fractions, **interval, "top5": top5, "calibration_error": self._confidence.value}


class ChosenClassScorer(ClassificationScorer):
    """Counts of right answers of a model that chooses the class itself: its output is one class number."""

    def add(self, labels: Array, outputs: Array) -> None:
        """Score a batch: labels (samples,) and outputs (samples, 1) of whole numbers."""
        truth = np.asarray(labels).reshape(-1).astype(np.int64)
        self._count(len(outputs), truth, outputs.reshape(len(outputs), -1)[:, 0].astype(np.int64))

    def result(self) -> dict[str, Any]:
        """Return the fractions right, by class too, and what was taken for what."""
        return _fractions(self.task, self.cells, len(self._outcomes))


class BinaryScorer:
    """Counts of right answers of a single output; labels are 0 or 1, one a sample.

    Outputs within 0..1 are probabilities (threshold 0.5), others logits (threshold 0); the result says which was taken.

    Args:
        tuned: a threshold found on other samples (:func:`edge_runner.thresholds.best_threshold`), by which the fraction
            right is reported, too.
    """

    task = "binary"

    def __init__(self, tuned: float | None = None) -> None:
        self.tuned = tuned
        self._truth = array("i")
        self._outputs = array("d")

    def add(self, labels: Array, outputs: Array) -> None:
        """Keep a batch: labels (samples, ...) and the real-valued outputs (samples, ...), one value each."""
        self._truth.frombytes((np.asarray(labels).reshape(-1) == 1).astype(np.intc).tobytes())
        self._outputs.frombytes(outputs.reshape(-1).astype(np.float64).tobytes())

    @property
    def truth(self) -> Array:
        """The labels, (samples,) of 0 and 1."""
        return np.array(self._truth)

    @property
    def threshold(self) -> float:
        """What an output must exceed to mean class 1."""
        outputs = np.asarray(self._outputs)
        return 0.5 if bool((((outputs >= 0) & (outputs <= 1)) | np.isnan(outputs)).all()) else 0.0

    @property
    def predictions(self) -> list[int]:
        """The class of each sample."""
        outputs = np.asarray(self._outputs)
        found: list[int] = np.where(np.isnan(outputs), NONE, outputs > self.threshold).tolist()
        return found

    @property
    def outcomes(self) -> Array:
        """Whether each sample was right, (samples,) float64 of 0 and 1."""
        found: Array = (np.asarray(self.predictions) == self.truth).astype(np.float64)
        return found

    @property
    def right(self) -> str:
        """Which samples were right."""
        return bits([int(outcome) for outcome in self.outcomes])

    def result(self) -> dict[str, Any]:
        """Return the fraction right, F1, and how well the outputs separate the classes whatever the threshold.

        F1 is ``2 TP / (2 TP + FP + FN)``, None where neither labels nor predictions hold a 1.
        """
        cells = Counter(zip(self._truth, self.predictions))
        outputs = np.asarray(self._outputs)
        either = 2 * cells[1, 1] + cells[0, 1] + cells[1, 0] + cells[1, NONE]
        found = {
            **_fractions(self.task, cells, len(self._truth)),
            "threshold": self.threshold,
            "auc": auc(outputs, self.truth),
            "f1": 2 * cells[1, 1] / either if either else None,
        }
        if self.tuned is None:
            return found
        right = int(np.count_nonzero(np.where(np.isnan(outputs), NONE, outputs > self.tuned) == self.truth))
        return {**found, "tuned_top1": right / len(outputs), "tuned_threshold": self.tuned}


class RegressionScorer:
    """Errors of real values; labels have the output's shape, samples first."""

    task = "regression"
    predictions = None
    right = None

    def __init__(self) -> None:
        self.values = 0
        self._distinct = DistinctValues()
        self._each = array("d")  # how many values a sample has
        self._absolute = array("d")
        self._square = array("d")
        self._largest = 0.0
        self._spread = Spread()

    def add(self, labels: Array, outputs: Array) -> None:
        """Add the errors of a batch: labels and the real-valued outputs, (samples, ...) alike."""
        count = len(outputs)
        truth = np.asarray(labels, np.float64).reshape(count, -1)
        error = outputs.reshape(count, -1).astype(np.float64) - truth
        self._largest = max(self._largest, float(np.abs(error).max(initial=0.0)))
        self._spread.add(truth)
        self._distinct.add(outputs)
        self.values += error.size
        self._each.extend([error.shape[1]] * count)
        self._absolute.frombytes(np.abs(error).sum(axis=1).tobytes())
        self._square.frombytes(np.square(error).sum(axis=1).tobytes())

    @property
    def outcomes(self) -> Array:
        """The mean absolute error of each sample, (samples,) float64."""
        found: Array = np.asarray(self._absolute) / np.asarray(self._each)
        return found

    @property
    def squares(self) -> Array:
        """The mean square error of each sample, (samples,) float64."""
        found: Array = np.asarray(self._square) / np.asarray(self._each)
        return found

    def result(self) -> dict[str, Any]:
        """Return mean absolute, root mean square and largest error over all values, and R²; None when not finite.

        ``distinct`` is how many different values the output gives, of the channel with the fewest.

        R² is the part of the labels' variance that is explained, ``1 - sum of squared errors / sum of squared distances
        from each value's mean over the samples``, of several values together; None where the labels don't vary.
        """
        # Exact sums, so that the figure does not depend on how the samples were cut into batches.
        squares = math.fsum(self._square)
        if not math.isfinite(squares):
            return empty(self.task, len(self._each))
        spread = self._spread.total
        return {
            **empty(self.task, len(self._each)),
            "mae": math.fsum(self._absolute) / self.values,
            "rmse": math.sqrt(squares / self.values),
            "r2": 1 - squares / spread if spread else None,
            "largest_error": self._largest,
            "distinct": self._distinct.fewest,
        }


def _fractions(task: str, cells: Mapping[tuple[int, int], int], samples: int) -> dict[str, Any]:
    answers, right = sum(cells.values()), sum(count for (t, p), count in cells.items() if t == p)
    low, high = wilson(right, answers)
    return {
        **empty(task, samples),
        "top1": right / answers,
        "top1_low": low,
        "top1_high": high,
        "per_class": {
            str(label): {"samples": count, "right": cells.get((label, label), 0)}
            for label, count in _by_class(cells).items()
        },
        "confusion": [[t, p, count] for (t, p), count in sorted(cells.items())],
    }


def _by_class(cells: Mapping[tuple[int, int], int]) -> dict[int, int]:
    counts: Counter[int] = Counter()
    for (label, _), count in cells.items():
        counts[label] += count
    return dict(sorted(counts.items()))

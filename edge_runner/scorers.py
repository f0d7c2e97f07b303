"""How right a model is, output by output: each scorer takes one sample at a time and keeps little."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from edge_runner.ndarray import Array
from edge_runner.summary import wilson

NONE = -1
"""The class that an output which is not a number predicts."""
NAMES = (
    *("top1", "top1_low", "top1_high", "top5", "mae", "rmse", "auc", "mean_iou", "class_iou", "threshold"),
    *("per_class", "confusion", "predictions"),
)


def empty(task: str, samples: int) -> dict[str, Any]:
    """Return a score in which nothing was measured."""
    return {"task": task, "samples": samples, **dict.fromkeys(NAMES)}


def bits(right: Sequence[int]) -> str:
    """Return ``SAMPLES:HEX`` of what is 1 where a sample was right; see :func:`edge_runner.mcnemar.compare`."""
    return f"{len(right)}:{np.packbits(np.asarray(right, np.uint8)).tobytes().hex() or '0'}"


def auc(scores: Sequence[float], truth: Sequence[int]) -> float | None:
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


class Classification:
    """Counts of right answers; labels are class numbers of shape (samples,).

    Ties go to the lower class number, as numpy's argmax gives them. An output with a NaN in it is wrong.
    """

    task = "classification"

    def __init__(self, labels: Array, classes: int) -> None:
        self.labels = labels
        self.classes = classes
        self.right_in_five = 0
        self.truth = array("i")
        self.predictions = array("i")

    def take(self, index: int, output: Array) -> None:
        """Score the real-valued *output* (classes,) of sample *index*."""
        label, scores = int(self.labels[index]), output.reshape(-1)
        sound = not np.isnan(scores).any()
        ahead = int(np.sum(scores > scores[label]) + np.sum(scores[:label] == scores[label]))
        self.right_in_five += sound and ahead < 5
        self.truth.append(label)
        self.predictions.append(int(np.argmax(scores)) if sound else NONE)

    @property
    def right(self) -> str:
        """Which samples were right."""
        return bits([t == p for t, p in zip(self.truth, self.predictions)])

    def result(self) -> dict[str, Any]:
        """Return the fractions right, by class too, and what was taken for what."""
        top5 = self.right_in_five / len(self.truth) if self.classes > 5 else None
        return {**_fractions(self.task, self.truth, self.predictions), "top5": top5}


class Chosen(Classification):
    """Counts of right answers of a model that chooses the class itself: its output is one class number."""

    def take(self, index: int, output: Array) -> None:
        """Score the *output* (1,) of sample *index*."""
        self.truth.append(int(self.labels[index]))
        self.predictions.append(int(output.reshape(-1)[0]))

    def result(self) -> dict[str, Any]:
        """Return the fractions right, by class too, and what was taken for what."""
        return _fractions(self.task, self.truth, self.predictions)


class Binary:
    """Counts of right answers of a single output; labels are 0 or 1, of shape (samples,).

    Outputs within 0..1 are probabilities (threshold 0.5), others logits (threshold 0); the result says which was taken.
    """

    task = "binary"

    def __init__(self, labels: Array) -> None:
        self.labels = labels
        self.truth = array("i")
        self.outputs = array("d")

    def take(self, index: int, output: Array) -> None:
        """Keep the real-valued *output* (1,) of sample *index*."""
        self.truth.append(int(self.labels[index]))
        self.outputs.append(float(output.reshape(-1)[0]))

    @property
    def threshold(self) -> float:
        """What an output must exceed to mean class 1."""
        return 0.5 if all(0 <= value <= 1 for value in self.outputs if value == value) else 0.0

    @property
    def predictions(self) -> list[int]:
        """The class of each sample."""
        threshold = self.threshold
        return [int(value > threshold) if value == value else NONE for value in self.outputs]

    @property
    def right(self) -> str:
        """Which samples were right."""
        return bits([t == p for t, p in zip(self.truth, self.predictions)])

    def result(self) -> dict[str, Any]:
        """Return the fraction right, and how well the outputs separate the classes whatever the threshold."""
        fractions = _fractions(self.task, self.truth, self.predictions)
        return {**fractions, "threshold": self.threshold, "auc": auc(self.outputs, self.truth)}


class Regression:
    """Errors of real values; labels have the output's shape, samples first."""

    task = "regression"
    predictions = None
    right = None

    def __init__(self, labels: Array) -> None:
        self.labels = labels
        self.samples = self.values = 0
        self.absolute = self.square = 0.0

    def take(self, index: int, output: Array) -> None:
        """Score the real-valued *output* of sample *index*."""
        self.add(output, np.asarray(self.labels[index]))

    def add(self, output: Array, wanted: Array) -> float:
        """Add the errors of one sample and return their mean square."""
        error = output.reshape(-1).astype(np.float64) - np.asarray(wanted, np.float64).reshape(-1)
        square = float(np.square(error).sum())
        self.samples += 1
        self.values += error.size
        self.absolute += float(np.abs(error).sum())
        self.square += square
        return square / error.size

    def result(self) -> dict[str, Any]:
        """Return mean absolute error and root mean square error over all values; None when one is not finite."""
        mae, rmse = self.absolute / self.values, (self.square / self.values) ** 0.5
        finite = bool(np.isfinite(rmse))
        return {**empty(self.task, self.samples), "mae": mae if finite else None, "rmse": rmse if finite else None}


class Autoencoder(Regression):
    """How well the reconstruction error, the mean square over a sample, tells samples of class 1 from those of class 0.

    Args:
        labels: (samples,) of 0 (normal) and 1 (anomalous).
        sample: returns the real-valued input of a sample, which its output is compared with.
    """

    task = "autoencoder"

    def __init__(self, labels: Array, sample: Callable[[int], Array]) -> None:
        super().__init__(labels)
        self.sample = sample
        self.truth = array("i")
        self.errors = array("d")

    def take(self, index: int, output: Array) -> None:
        """Score the real-valued *output* of sample *index*."""
        self.truth.append(int(self.labels[index]))
        self.errors.append(self.add(output, self.sample(index)))

    def result(self) -> dict[str, Any]:
        """Return the errors of the reconstruction, and the area under the curve of telling anomalies by it."""
        return {**super().result(), "auc": auc(self.errors, self.truth)}


def _fractions(task: str, truth: Sequence[int], predictions: Sequence[int]) -> dict[str, Any]:
    cells = Counter(zip(truth, predictions))
    samples, right = len(truth), sum(count for (t, p), count in cells.items() if t == p)
    low, high = wilson(right, samples)
    return {
        **empty(task, samples),
        "top1": right / samples,
        "top1_low": low,
        "top1_high": high,
        "per_class": {
            str(label): {"samples": count, "right": cells[label, label]} for label, count in _by_class(cells).items()
        },
        "confusion": [[t, p, count] for (t, p), count in sorted(cells.items())],
    }


def _by_class(cells: Mapping[tuple[int, int], int]) -> dict[int, int]:
    counts: Counter[int] = Counter()
    for (label, _), count in cells.items():
        counts[label] += count
    return dict(sorted(counts.items()))

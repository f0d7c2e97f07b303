"""How right a model is: outputs by sample against labels, read once and kept small."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from edge_runner.arrays import Array, DataError
from edge_runner.summary import wilson

_CHUNK = 4096
Consumer = Callable[[int, Array], None]


class Classification:
    """Counts of right answers; labels are class numbers of shape (samples,).

    Ties go to the lower class number, as numpy's argmax gives them.
    """

    task = "classification"

    def __init__(self, labels: Array, classes: int) -> None:
        self.labels = labels
        self.samples = self.right = self.right_in_five = 0
        self.per_class = np.zeros((classes, 2), np.int64)
        self.predictions: list[int] = []

    def take(self, index: int, output: Array) -> None:
        """Score the real-valued *output* (classes,) of sample *index*."""
        label = int(self.labels[index])
        scores = output.reshape(-1)
        ahead = int(np.sum(scores > scores[label]) + np.sum(scores[:label] == scores[label]))
        self.samples += 1
        self.right += ahead == 0
        self.right_in_five += ahead < 5
        self.per_class[label] += (1, ahead == 0)
        self.predictions.append(int(np.argmax(scores)))

    def result(self) -> dict[str, Any]:
        """Return the fractions right."""
        per_class = {str(c): {"samples": int(n), "right": int(k)} for c, (n, k) in enumerate(self.per_class) if n}
        top5 = self.right_in_five / self.samples if len(self.per_class) > 5 else None
        return {**_fractions(self.task, self.samples, self.right), "top5": top5, "per_class": per_class}


class Binary:
    """Counts of right answers of a single output; labels are 0 or 1, of shape (samples,).

    Outputs within 0..1 are probabilities (threshold 0.5), others logits (threshold 0); the result says which was taken.
    """

    task = "binary"

    def __init__(self, labels: Array) -> None:
        self.labels = labels
        self.outputs: list[float] = []
        self.places: list[int] = []

    def take(self, index: int, output: Array) -> None:
        """Keep the real-valued *output* (1,) of sample *index*."""
        self.places.append(index)
        self.outputs.append(float(output.reshape(-1)[0]))

    @property
    def threshold(self) -> float:
        """What an output must exceed to mean class 1."""
        return 0.5 if all(0 <= value <= 1 for value in self.outputs) else 0.0

    @property
    def predictions(self) -> list[int]:
        """The class of each sample."""
        threshold = self.threshold
        return [int(value > threshold) for value in self.outputs]

    def result(self) -> dict[str, Any]:
        """Return the fraction right."""
        truth = [int(self.labels[place]) for place in self.places]
        pairs = list(zip(truth, self.predictions))
        per_class = {
            str(c): {"samples": truth.count(c), "right": sum(t == p == c for t, p in pairs)} for c in sorted(set(truth))
        }
        fractions = _fractions(self.task, len(pairs), sum(t == p for t, p in pairs))
        return {**fractions, "threshold": self.threshold, "per_class": per_class}


class Regression:
    """Errors of real values; labels have the output's shape, samples first."""

    task = "regression"

    def __init__(self, labels: Array) -> None:
        self.labels = labels
        self.samples = self.values = 0
        self.absolute = self.square = 0.0
        self.predictions = None

    def take(self, index: int, output: Array) -> None:
        """Score the real-valued *output* of sample *index*."""
        error = output.reshape(-1).astype(np.float64) - np.asarray(self.labels[index], np.float64).reshape(-1)
        self.samples += 1
        self.values += error.size
        self.absolute += float(np.abs(error).sum())
        self.square += float(np.square(error).sum())

    def result(self) -> dict[str, Any]:
        """Return mean absolute error and root mean square error over all values."""
        mae, rmse = self.absolute / self.values, (self.square / self.values) ** 0.5
        return {**_empty(self.task, self.samples), "mae": mae, "rmse": rmse}


Scorer = (Classification, Binary, Regression)


def scorer(labels: Array, sample_shape: Sequence[int], where: str) -> Classification | Binary | Regression:
    """Choose how to score by the labels.

    Args:
        labels: (samples,) or (samples, 1) class numbers, (samples, classes) one-hot, or real
            values of the output's shape.
        sample_shape: of the output, without the batch.
        where: how messages call the labels.

    Raises:
        DataError: labels that fit none of these, or a class number that the model has no output for.
    """
    size = int(np.prod(sample_shape, dtype=np.int64))
    per_sample = int(np.prod(labels.shape[1:], dtype=np.int64))
    if per_sample == 1 and _whole(labels):
        flat = labels.reshape(-1)
        least, most = int(flat.min()), int(flat.max())
        if size == 1:
            return Binary(flat) if least >= 0 and most <= 1 else Regression(labels)
        if least < 0 or most >= size:
            msg = f"{where} must be class numbers in 0..{size - 1} (the model has {size} outputs), got {least}..{most}"
            raise DataError(msg)
        return Classification(flat, size)
    if per_sample != size:
        allowed = f"one class number a sample or of the output's shape {tuple(sample_shape)}"
        msg = f"{where} must be {allowed}, got {labels.shape[1:]}"
        raise DataError(msg)
    if size > 1 and labels.ndim == 2 and _one_hot(labels):
        return Classification(np.asarray(labels).argmax(axis=1), size)
    return Regression(labels)


def _whole(labels: Array) -> bool:
    """Whether every label is a whole number, whatever the dtype."""
    if labels.dtype.kind != "f":
        return True
    return all(bool(np.all(piece == np.round(piece))) for piece in _pieces(labels))


def _one_hot(labels: Array) -> bool:
    return all(
        bool(np.all((piece == 0) | (piece == 1)) and np.all(piece.sum(axis=1) == 1)) for piece in _pieces(labels)
    )


def _pieces(labels: Array) -> Any:
    return (np.asarray(labels[start : start + _CHUNK]) for start in range(0, len(labels), _CHUNK))


def _empty(task: str, samples: int) -> dict[str, Any]:
    names = ("top1", "top1_low", "top1_high", "top5", "mae", "rmse", "threshold", "per_class", "predictions")
    return {"task": task, "samples": samples, **dict.fromkeys(names)}


def _fractions(task: str, samples: int, right: int) -> dict[str, Any]:
    low, high = wilson(right, samples)
    return {**_empty(task, samples), "top1": right / samples, "top1_low": low, "top1_high": high}

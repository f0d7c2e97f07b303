"""How well a model does on a split, whatever runs it: a Keras model, an interpreter, any callable by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from tfcompress.data.labels import Task
from tfcompress.errors import DataError, ModelError
from tfcompress.evaluate.significance import wilson
from tfcompress.progress import SilentTask

if TYPE_CHECKING:
    from tfcompress.data.splits import Split
    from tfcompress.progress import Task as ProgressTask

Predict = Callable[[dict[str, np.ndarray]], Mapping[str, np.ndarray]]
"""From inputs by name, shape (samples, ...), to outputs by name, shape (samples, ...)."""

TOP = 5
"""Top-5 accuracy is told for more classes than this."""


@dataclass(frozen=True)
class Metrics:
    """The numbers of one model on one split; of several outputs, those of the first that has labels.

    Attributes:
        task: what the labels are; see :mod:`tfcompress.data.labels`.
        samples: samples evaluated.
        top1: fraction of predictions that are right; None in regression. A prediction with NaN is wrong.
        top1_low: lower end of its 95 % Wilson interval; None where a sample has several predictions (they go together).
        top1_high: upper end.
        top5: fraction with the right class among the five highest; None with fewer than six classes.
        mae: mean absolute error, in the labels' unit; None unless regression.
        rmse: root of the mean squared error, in the labels' unit; None unless regression.
        auc: area under the ROC curve; None unless binary with both classes present.
        recall: fraction right of each class's samples, None for a class without samples; empty unless classification.
        correct: whether each sample was predicted right, bool, shape (samples,), for :func:`mcnemar`; None in
            regression and where a sample has several predictions.
        outputs: the same for each output that has labels, by name; empty for a model with one output.
    """

    task: Task
    samples: int
    top1: float | None = None
    top1_low: float | None = None
    top1_high: float | None = None
    top5: float | None = None
    mae: float | None = None
    rmse: float | None = None
    auc: float | None = None
    recall: tuple[float | None, ...] = ()
    correct: np.ndarray | None = field(default=None, repr=False, compare=False)
    outputs: Mapping[str, Metrics] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for the report, without *correct*; what was not measured is None."""
        plain: dict[str, Any] = {
            name: getattr(self, name)
            for name in ("task", "samples", "top1", "top1_low", "top1_high", "top5", "mae", "rmse", "auc")
        }
        plain["recall"] = list(self.recall)
        plain["outputs"] = {name: metrics.to_dict() for name, metrics in self.outputs.items()}
        return plain


def evaluate(
    predict: Predict,
    split: Split,
    task: Task | Mapping[str, Task],
    *,
    progress_task: ProgressTask | None = None,
    batch_size: int = 256,
    limit: int | None = None,
) -> Metrics:
    """Run a model over a split, one batch in memory at a time.

    Args:
        predict: the model, by names.
        split: samples with labels.
        task: what the labels are, for every output or by output name (:attr:`BoundData.tasks`).
        progress_task: told how many samples are done.
        batch_size: samples a call.
        limit: only the first so many samples.

    Raises:
        DataError: the split has no samples or no labels, or *predict* gives another number of them.
        ModelError: a regression model predicts NaN or Inf.
    """
    bar = progress_task or SilentTask()
    scores: dict[str, _Score] = {}
    for x, y in split.batches(batch_size, limit=limit):
        if y is None:
            msg = f"data: the {split.name} split has no labels, and accuracy needs them; give y_{split.name} too"
            raise DataError(msg)
        outputs = predict(x)
        named = y if isinstance(y, dict) else {_only(outputs): y}
        for name, labels in named.items():
            kind = task if isinstance(task, str) else task.get(name, next(iter(task.values())))
            scores.setdefault(name, _SCORES[kind]()).add(_checked(outputs, name, labels), labels)
        bar.advance(len(next(iter(x.values()))))
    if not scores:
        msg = f"data: the {split.name} split holds zero samples; give more data"
        raise DataError(msg)
    results = {name: score.result() for name, score in scores.items()}
    first = next(iter(results.values()))
    return replace(first, outputs=results) if isinstance(y, dict) else first


def _only(outputs: Mapping[str, np.ndarray]) -> str:
    if len(outputs) != 1:
        msg = f"data: the model gives {len(outputs)} outputs ({', '.join(outputs)}), so labels need their names"
        raise DataError(msg)
    return next(iter(outputs))


def _checked(outputs: Mapping[str, np.ndarray], name: str, labels: np.ndarray) -> np.ndarray:
    if name not in outputs:
        msg = f"data: there are labels for output {name!r}; the model's outputs are {', '.join(outputs)}"
        raise DataError(msg)
    if len(outputs[name]) != len(labels):
        msg = f"the model gave {len(outputs[name])} predictions of {name!r} for {len(labels)} samples"
        raise DataError(msg)
    return outputs[name]


class _Score(Protocol):
    """Adds batches up."""

    def add(self, outputs: np.ndarray, labels: np.ndarray) -> None:
        """Take one batch: outputs (samples, ...) and labels in their one form."""

    def result(self) -> Metrics:
        """Return the numbers of all batches."""


class _Classification:
    def __init__(self) -> None:
        self._correct: list[np.ndarray] = []
        self._right: np.ndarray | None = None
        self._in_top = 0
        self._seen = np.zeros(0, np.int64)
        self._several = False

    def add(self, outputs: np.ndarray, labels: np.ndarray) -> None:
        classes = outputs.shape[-1]
        scores, truth = outputs.reshape(-1, classes), labels.reshape(-1)
        if len(scores) != len(truth):
            msg = f"predictions of shape {outputs.shape} do not fit labels of shape {labels.shape}"
            raise DataError(msg)
        rank = ranks(scores, truth)
        if self._right is None:
            self._right, self._seen = np.zeros(classes, np.int64), np.zeros(classes, np.int64)
        self._right += np.bincount(truth[rank == 0], minlength=classes)
        self._seen += np.bincount(truth, minlength=classes)
        self._in_top += int(np.count_nonzero(rank < TOP))
        self._several |= len(truth) != len(outputs)
        self._correct.append((rank == 0).reshape(len(outputs), -1).all(axis=1))

    def result(self) -> Metrics:
        right = np.zeros(0, np.int64) if self._right is None else self._right
        total, correct = int(self._seen.sum()), np.concatenate(self._correct)
        low, high = wilson(int(right.sum()), total)
        return Metrics(
            task="classification",
            samples=len(correct),
            top1=int(right.sum()) / total,
            top1_low=None if self._several else low,
            top1_high=None if self._several else high,
            top5=self._in_top / total if len(right) > TOP else None,
            recall=tuple(int(r) / int(s) if s else None for r, s in zip(right, self._seen, strict=True)),
            correct=None if self._several else correct,
        )


def ranks(scores: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return at which place the true class comes, 0 for the highest score.

    Equal scores (common among int8 outputs) go by class number, as argmax does. A row with NaN puts every class last.

    Args:
        scores: shape (samples, classes).
        truth: class numbers, shape (samples,).

    Returns:
        int64, shape (samples,), in 0..classes.
    """
    own = np.take_along_axis(scores, truth[:, None].astype(np.int64), axis=1)
    before = np.arange(scores.shape[1]) < truth[:, None]
    rank: np.ndarray = np.count_nonzero((scores > own) | ((scores == own) & before), axis=1)
    if scores.dtype.kind == "f":
        rank = np.where(np.isnan(scores).any(axis=1), scores.shape[1], rank)
    return rank


class _Binary:
    """Decides at 0.5 when every output lies in [0, 1] (probabilities), else at 0 (logits)."""

    def __init__(self) -> None:
        self._scores: list[np.ndarray] = []
        self._truth: list[np.ndarray] = []

    def add(self, outputs: np.ndarray, labels: np.ndarray) -> None:
        self._scores.append(outputs.reshape(-1).astype(np.float32))
        self._truth.append(labels.reshape(-1) == 1)

    def result(self) -> Metrics:
        scores, truth = np.concatenate(self._scores), np.concatenate(self._truth)
        finite = scores[np.isfinite(scores)]
        threshold = 0.5 if len(finite) and finite.min() >= 0 and finite.max() <= 1 else 0.0
        correct = ((scores > threshold) == truth) & ~np.isnan(scores)
        right = int(np.count_nonzero(correct))
        low, high = wilson(right, len(correct))
        return Metrics(
            task="binary",
            samples=len(correct),
            top1=right / len(correct),
            top1_low=low,
            top1_high=high,
            auc=area_under_roc(scores, truth),
            correct=correct,
        )


def area_under_roc(scores: np.ndarray, truth: np.ndarray) -> float | None:
    """Return the chance that a positive sample scores above a negative one, ties counting half.

    This is the Mann-Whitney statistic U / (positives · negatives) (Hanley & McNeil 1982, Radiology 143, p. 29).

    Args:
        scores: shape (samples,).
        truth: whether each sample is positive, bool, shape (samples,).

    Returns:
        A fraction; None when only one class is there or a score is NaN.
    """
    positives = int(np.count_nonzero(truth))
    negatives = len(truth) - positives
    if positives == 0 or negatives == 0 or np.isnan(scores).any():
        return None
    _, place, count = np.unique(scores, return_inverse=True, return_counts=True)
    mean_rank = np.cumsum(count) - (count - 1) / 2
    wins = float(mean_rank[place][truth].sum()) - positives * (positives + 1) / 2
    return wins / (positives * negatives)


class _Regression:
    def __init__(self) -> None:
        self._samples = 0
        self._values = 0
        self._absolute = 0.0
        self._squared = 0.0

    def add(self, outputs: np.ndarray, labels: np.ndarray) -> None:
        if outputs.size != labels.size:
            msg = f"predictions of shape {outputs.shape} do not fit targets of shape {labels.shape}"
            raise DataError(msg)
        if not np.isfinite(outputs).all():
            msg = "the model predicts NaN or Inf, so its error cannot be told; check its weights and the preprocessing"
            raise ModelError(msg)
        error = outputs.astype(np.float64).reshape(-1) - labels.astype(np.float64).reshape(-1)
        self._samples += len(outputs)
        self._values += error.size
        self._absolute += float(np.abs(error).sum())
        self._squared += float((error * error).sum())

    def result(self) -> Metrics:
        return Metrics(
            task="regression",
            samples=self._samples,
            mae=self._absolute / self._values,
            rmse=float(np.sqrt(self._squared / self._values)),
        )


_SCORES: dict[str, Callable[[], _Score]] = {
    "classification": _Classification,
    "binary": _Binary,
    "regression": _Regression,
}

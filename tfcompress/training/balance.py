"""Classes weighed by their inverse frequency."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from tfcompress.data.splits import TableSplit

if TYPE_CHECKING:
    from tfcompress.data.bound import BoundData
    from tfcompress.data.labels import LabelCoder
    from tfcompress.data.splits import BoundSplit

_BATCH = 8192
"""Labels that are looked at together."""


def class_weights(data: BoundData) -> dict[str, np.ndarray]:
    """Return what each class weighs, for every output that is trained by labels of which each is of one class.

    A class weighs ``n / (k * n_c)``, where n_c of n labels are of it and k classes occur (King & Zeng 2001, "Logistic
    Regression in Rare Events Data", section 4.2, for equal shares): all weigh the same together, and the mean is 1.

    Args:
        data: the bound data; its training split is counted.

    Returns:
        By output name, float32, shape (classes,); 0 for a class that does not occur.
    """
    split = data.need_train()
    coders = {name: coder for name, coder in split.adapter.coders.items() if _is_counted(coder)}
    counts = {name: np.zeros(coder.classes or 0, np.float64) for name, coder in coders.items()}
    for labels in _labels(split) if coders else ():
        for name in coders:
            counts[name] += _counted(labels[name] if isinstance(labels, dict) else labels, len(counts[name]))
    return {name: _inverse(found) for name, found in counts.items() if found.any()}


def _is_counted(coder: LabelCoder) -> bool:
    """Whether each label is of one class (or shared among them): not so where there are several tags at once."""
    task, shape = coder.task, coder.form.shape
    tags = task.teaching == "binary logits" and bool(shape) and shape[-1] not in (1, None)
    return task.has_classes and not task.taught and bool(coder.classes) and not tags


def _labels(split: BoundSplit) -> Iterator[Any]:
    if isinstance(split, TableSplit):
        yield from split.labels(split.label_batch(_BATCH))
        return
    for _, labels in split.batches(_BATCH):
        yield labels


def _counted(labels: np.ndarray, classes: int) -> np.ndarray:
    if are_shared(labels, classes):
        shared: np.ndarray = labels.reshape(-1, classes).sum(axis=0, dtype=np.float64)
        return shared
    numbers = labels.reshape(-1).astype(np.int64)
    return np.bincount(numbers[(numbers >= 0) & (numbers < classes)], minlength=classes).astype(np.float64)


def _inverse(counts: np.ndarray) -> np.ndarray:
    shares = counts.sum() / (np.count_nonzero(counts) * np.where(counts > 0, counts, 1))
    return np.where(counts > 0, shares, 0.0).astype(np.float32)


def are_shared(labels: np.ndarray, classes: int) -> bool:
    """Tell whether labels are shares of the classes, (..., classes), rather than a number for each."""
    return labels.dtype.kind == "f" and labels.ndim > 1 and labels.shape[-1] == classes


def weighed(weights: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return what each label weighs.

    Args:
        weights: of the classes, (classes,).
        labels: in their one form, (samples, ...): class numbers, or shares of the classes.

    Returns:
        float32, of the labels' shape without a last axis of one value, or of the classes; 0 for one that is no class.
    """
    if are_shared(labels, len(weights)):
        shared: np.ndarray = labels @ weights
        return shared
    numbers = labels[..., 0] if labels.ndim > 1 and labels.shape[-1] == 1 else labels
    known = (numbers >= 0) & (numbers < len(weights))
    found: np.ndarray = np.where(known, weights[np.where(known, numbers, 0).astype(np.int64)], np.float32(0))
    return found

"""How well a model's reconstruction error shows what is unlike the samples that it was trained on."""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from edge_runner.ndarray import Array
from edge_runner.scorers import RegressionScorer, auc

MOST_FALSE_ALARMS = 0.1
"""The partial area under the curve is that up to this rate of false alarms."""


class AutoencoderScorer(RegressionScorer):
    """Reconstruction errors, the mean square over a sample, and how well they distinguish class 1 from class 0.

    Args:
        sample: returns the real-valued input of a sample by its number, which its output is compared with.
        windows_of: so many samples on end are the windows of one clip, whose error is the mean of theirs.
    """

    task = "autoencoder"

    def __init__(self, sample: Callable[[int], Array], windows_of: int = 1) -> None:
        super().__init__()
        self.sample = sample
        self.windows_of = windows_of
        self._labels = array("q")

    def add(self, labels: Array | None, outputs: Array) -> None:
        """Score the samples that come next.

        Args:
            labels: (samples,) of 0 (normal) and 1 (anomalous); None where nobody knows.
            outputs: (samples, ...) reals, of the input's shape.
        """
        for output in outputs:
            super().add(self.sample(len(self._square))[None], output[None])
        if labels is not None:
            self._labels.extend(np.asarray(labels).reshape(-1).astype(np.int64).tolist())

    @property
    def errors(self) -> Array:
        """The error of each clip, (clips,) float64; windows at the end that make no whole clip are left out."""
        found: Array = _by_clip(self.squares, self.windows_of).mean(axis=1)
        return found

    @property
    def truth(self) -> Array | None:
        """The label of each clip, (clips,) int64; None without labels."""
        if not self._labels:
            return None
        found: Array = _by_clip(np.array(self._labels, np.int64), self.windows_of).max(axis=1)
        return found

    @property
    def mixed_clip(self) -> int | None:
        """The number of the first clip whose windows have several labels; None where there is none."""
        labels = _by_clip(np.array(self._labels, np.int64), self.windows_of)
        mixed = np.flatnonzero((labels != labels[:, :1]).any(axis=1))
        return int(mixed[0]) if len(mixed) else None

    def result(self) -> dict[str, Any]:
        """Return the errors, and the areas under the curve of detecting anomalies by them; samples are clips."""
        found, truth, errors = super().result(), self.truth, self.errors
        mse = math.fsum(self._square) / self.values
        known = truth is not None and math.isfinite(mse)
        return {
            **found,
            "samples": len(errors),
            "mse": mse if math.isfinite(mse) else None,
            "auc": auc(errors, truth) if known and truth is not None else None,
            "partial_auc": partial_auc(errors, truth) if known and truth is not None else None,
        }


def _by_clip(values: Array, windows_of: int) -> Array:
    whole = len(values) // windows_of * windows_of
    return values[:whole].reshape(-1, windows_of)


def partial_auc(
    scores: Sequence[float] | Array,
    truth: Sequence[int] | Array,
    most_false_alarms: float = MOST_FALSE_ALARMS,
) -> float | None:
    """Return the area under the ROC curve up to a rate of false alarms, standardized: 0.5 is chance and 1 perfect.

    With F that rate, ``(1 + (area - F**2 / 2) / (F - F**2 / 2)) / 2`` (McClish 1989, Medical Decision Making 9:190).
    The curve is straight between its points, of which tied scores share one.

    Args:
        scores: (samples,) reals.
        truth: (samples,) of 0 and 1.
        most_false_alarms: in (0, 1].

    Returns:
        None when one class is missing or a score is no number.
    """
    values, positive = np.asarray(scores, np.float64), np.asarray(truth) == 1
    ones = int(positive.sum())
    zeros = len(values) - ones
    if not ones or not zeros or np.isnan(values).any():
        return None
    _, place = np.unique(-values, return_inverse=True)
    alarms = np.bincount(place.reshape(-1), ~positive)
    found = np.bincount(place.reshape(-1), positive)
    across, up = (np.concatenate([[0.0], np.cumsum(counts)]) for counts in (alarms, found))
    across, up = across / zeros, up / ones
    end = np.interp(most_false_alarms, across, up)
    kept = int(np.searchsorted(across, most_false_alarms, side="right"))
    across, up = np.append(across[:kept], most_false_alarms), np.append(up[:kept], end)
    area = float((np.diff(across) * (up[1:] + up[:-1])).sum() / 2)
    least = most_false_alarms**2 / 2
    return (1 + (area - least) / (most_false_alarms - least)) / 2

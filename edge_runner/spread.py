"""How far labels are spread about their mean, in one pass."""

from __future__ import annotations

import numpy as np

from edge_runner.ndarray import Array


class Spread:
    """Adds up the squared distances of each value of the labels from its mean over the samples.

    Sums are of distances from the first sample, so that large labels that differ little lose no digits, and run sample
    by sample, so that they don't depend on the batches.
    """

    def __init__(self) -> None:
        self.samples = 0
        self._first: Array | None = None
        self._sums = np.zeros((2, 0))
        self._alike = True

    def add(self, labels: Array) -> None:
        """Add a batch, (samples, values) of real numbers."""
        labels = np.asarray(labels, np.float64)
        if self._first is None:
            self._first, self._sums = labels[0].copy(), np.zeros((2, labels.shape[1]))
        self._alike &= labels.shape[1] == len(self._first)
        if not self._alike:
            return
        self.samples += len(labels)
        far = labels - self._first
        for place, added in enumerate((far, np.square(far))):
            # cumsum adds one after the other, where sum may add in any order
            self._sums[place] = np.cumsum(np.concatenate([self._sums[place][None], added]), axis=0)[-1]

    @property
    def total(self) -> float | None:
        """The sum over all values and samples; None without samples, or for samples of several sizes."""
        if not self._alike or not self.samples:
            return None
        sums, squares = self._sums
        return float(np.maximum(squares - np.square(sums) / self.samples, 0).sum())

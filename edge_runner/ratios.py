"""The mean over classes of a ratio of counts (F1, intersection over union), and what each sample contributes to it."""

from __future__ import annotations

from array import array

import numpy as np

from edge_runner.ndarray import Array


class Ratios:
    """Adds up, for each class, a part and a whole; the ratio of a class is ``sum of parts / sum of wholes``.

    Classes whose whole is zero have no ratio and are left out.

    Args:
        classes: how many there are.
        each: keep the counts of each sample, for :attr:`outcomes`.
    """

    def __init__(self, classes: int, each: bool = False) -> None:
        self.parts = np.zeros(classes, np.int64)
        self.wholes = np.zeros(classes, np.int64)
        self._each: tuple[array[int], array[int]] | None = (array("i"), array("i")) if each else None

    def add(self, parts: Array, wholes: Array) -> None:
        """Add whole numbers, both (samples, classes)."""
        self.parts += parts.sum(axis=0, dtype=np.int64)
        self.wholes += wholes.sum(axis=0, dtype=np.int64)
        if self._each is not None:
            for kept, found in zip(self._each, (parts, wholes)):
                kept.frombytes(found.astype(np.intc).tobytes())

    @property
    def by_class(self) -> dict[str, float]:
        """The ratio of each class that has one, by class number."""
        return {str(c): int(self.parts[c]) / int(self.wholes[c]) for c in np.flatnonzero(self.wholes).tolist()}

    @property
    def mean(self) -> float | None:
        """The mean over the classes that have a ratio; None where none has."""
        found = self.by_class
        return sum(found.values()) / len(found) if found else None

    @property
    def together(self) -> float | None:
        """The ratio of all classes' counts together; None where the whole is zero."""
        whole = int(self.wholes.sum())
        return int(self.parts.sum()) / whole if whole else None

    @property
    def outcomes(self) -> Array:
        """The mean ratio plus each sample's influence on it, (samples,) float64.

        With part a_i and whole d_i of sample i, and sums A and D over n samples, its influence on ``r = A / D`` is
        ``n (a_i - r d_i) / D``: the derivative with respect to the sample's weight (Jaeckel 1972, the infinitesimal
        jackknife; Efron & Tibshirani 1993, An Introduction to the Bootstrap, section 21.3). The influences add up to
        zero, so that the outcomes' mean is the mean ratio; the standard error of the outcomes' mean is that of the
        delta method.

        Raises:
            ValueError: the counts of each sample were not kept.
        """
        if self._each is None:
            msg = "counts of each sample were not kept; give each=True"
            raise ValueError(msg)
        parts, wholes = (np.asarray(kept).reshape(-1, len(self.parts)) for kept in self._each)
        there = np.flatnonzero(self.wholes)
        found = np.full(len(parts), self.mean if len(there) else np.nan)
        for c in there.tolist():
            ratio = self.parts[c] / self.wholes[c]
            found += len(parts) / len(there) * (parts[:, c] - ratio * wholes[:, c]) / self.wholes[c]
        return found

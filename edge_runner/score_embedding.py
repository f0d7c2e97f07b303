"""How well a model's vectors identify who is who: faces, speakers, products, places.

Vectors are compared by the cosine of the angle between them; a vector of zeros has the cosine 0 with every other.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from edge_runner.ndarray import Array
from edge_runner.scorers import auc, empty

MOST_SAMPLES = 1 << 14
"""So many vectors are kept; of more, every second sample, every fourth, and so on."""
MOST_PAIRS = 1 << 19
"""So many pairs of one identity, and so many of two, are compared; of more, so many that are drawn."""
DIGITS = 9
"""Cosines are rounded to so many decimals, so that equal vectors tie whatever the machine's order of adding."""
_BLOCK = 128


class EmbeddingScorer:
    """Keeps vectors and identities, whole numbers, one a sample."""

    task = "embedding"
    predictions = None
    right = None

    def __init__(self) -> None:
        self.samples = 0
        self._vectors: list[Array] = []
        self._identities: list[int] = []
        self._stride = 1

    def add(self, labels: Array, outputs: Array) -> None:
        """Keep a batch: identities (samples,) and the real-valued vectors (samples, ...)."""
        for identity, output in zip(np.asarray(labels).reshape(-1).tolist(), outputs):
            if self.samples % self._stride == 0:
                self._vectors.append(np.array(output, np.float32).reshape(-1))
                self._identities.append(int(identity))
            self.samples += 1
            if len(self._vectors) > MOST_SAMPLES:
                self._stride *= 2
                del self._vectors[1::2], self._identities[1::2]

    @property
    def identities(self) -> Array:
        """Of the samples that were kept, (samples,) int64."""
        return np.array(self._identities, np.int64)

    @property
    def directions(self) -> Array:
        """Their vectors with the length 1, or 0, (samples, values) float64."""
        vectors = np.array(self._vectors, np.float64)
        lengths = np.sqrt(np.square(vectors).sum(axis=1, keepdims=True))
        found: Array = vectors / np.where(lengths == 0, 1.0, lengths)
        return found

    def result(self) -> dict[str, Any]:
        """Return how well pairs of one identity differ from pairs of two, and how often the nearest is the same.

        ``verification_auc`` is the area under the ROC curve of the cosines of pairs. ``recall_at_1`` is the fraction of
        the samples whose nearest other sample has their identity, among those whose identity occurs again.
        """
        directions, identities = self.directions, self.identities
        finite = bool(len(directions)) and bool(np.isfinite(directions).all())
        return {
            **empty(self.task, self.samples),
            "verification_auc": verification_auc(directions, identities) if finite else None,
            "recall_at_1": recall_at_1(directions, identities) if finite else None,
        }


def verification_auc(directions: Array, identities: Array) -> float | None:
    """Return the chance that a pair of one identity has the higher cosine than a pair of two, ties one half.

    All pairs are compared, or of each kind :data:`MOST_PAIRS` drawn with replacement, always the same ones.

    Args:
        directions: (samples, values) of length 1.
        identities: (samples,) whole numbers.

    Returns:
        None where there is no pair of one identity, or none of two.
    """
    order = np.argsort(identities, kind="stable")
    directions, identities = directions[order], identities[order]
    ends = np.searchsorted(identities, identities, side="right")
    places, last = np.arange(len(identities)), np.full(len(identities), len(identities))
    same = _cosines(directions, *_pairs(places + 1, ends))
    other = _cosines(directions, *_pairs(ends, last))
    return auc(np.concatenate([same, other]), np.arange(len(same) + len(other)) < len(same))


def _pairs(low: Array, high: Array) -> tuple[Array, Array]:
    """Return pairs of a place and one of its partners, which are at *low* up to *high*; all, or :data:`MOST_PAIRS`."""
    upto = np.cumsum(high - low)
    total = int(upto[-1]) if len(upto) else 0
    numbers = np.arange(total) if total <= MOST_PAIRS else (splitmix64(MOST_PAIRS) % np.uint64(total)).astype(np.int64)
    first = np.searchsorted(upto, numbers, side="right")
    return first, high[first] - (upto[first] - numbers)


def splitmix64(count: int) -> Array:
    """Return *count* random whole numbers, uint64, the same on every machine and with every numpy.

    SplitMix64 from the state 0 (Steele, Lea & Flood 2014, OOPSLA, figure 17).
    """
    with np.errstate(over="ignore"):
        z = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        mixed: Array = z ^ (z >> np.uint64(31))
    return mixed


def _cosines(directions: Array, first: Array, second: Array) -> Array:
    found = np.empty(len(first))
    step = max(1, (1 << 20) // max(1, directions.shape[1]))
    for start in range(0, len(first), step):
        one, two = directions[first[start : start + step]], directions[second[start : start + step]]
        found[start : start + step] = np.round((one * two).sum(axis=1), DIGITS)
    return found


def recall_at_1(directions: Array, identities: Array) -> float | None:
    """Return how often the nearest other sample has the same identity; see :meth:`EmbeddingScorer.result`.

    Of equally near samples the first counts.

    Args:
        directions: (samples, values) of length 1.
        identities: (samples,) whole numbers.

    Returns:
        None where no identity occurs twice.
    """
    _, place, count = np.unique(identities, return_inverse=True, return_counts=True)
    asked = np.flatnonzero(count[place.reshape(-1)] > 1)
    hits = 0
    for start in range(0, len(asked), _BLOCK):
        rows = asked[start : start + _BLOCK]
        cosines = np.round(directions[rows] @ directions.T, DIGITS)
        cosines[np.arange(len(rows)), rows] = -np.inf
        hits += int(np.count_nonzero(identities[cosines.argmax(axis=1)] == identities[rows]))
    return hits / len(asked) if len(asked) else None

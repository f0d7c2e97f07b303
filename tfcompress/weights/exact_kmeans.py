"""k-means of numbers on a line without a search: the partition of least squared error, by dynamic programming.

On sorted values a cluster is a run, and where the last run begins moves only to the right as values are added, so that
one more cluster costs O(n log n) by divide and conquer (Wang & Song 2011, "Ckmeans.1d.dp"; Grønlund et al. 2017,
arXiv:1701.07204, section 2). Many rows are partitioned at once, each for itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

MOST_POINTS = 1024
"""Values of a row up to which the result is exact; of more, neighbours go together in so many groups."""

_AT_ONCE = 1 << 16


def best_centroids(rows: np.ndarray, count: int, *, skip_zeros: bool = False) -> np.ndarray:
    """Return the centroids of least squared error of each row.

    Args:
        rows: values, shape (rows, values), finite, at least one in a row.
        count: number of clusters, at least 1.
        skip_zeros: values that are 0 count for nothing; a row without others gets zeros.

    Returns:
        Shape (rows, count), rising in a row, float32. Where a row has fewer values than clusters, its last centroid is
        repeated.
    """
    size = max(1, _AT_ONCE // min(rows.shape[1], MOST_POINTS))
    parts = [_best(rows[start : start + size], count, skip_zeros) for start in range(0, len(rows), size)]
    return np.concatenate(parts).astype(np.float32)


def _best(rows: np.ndarray, count: int, skip_zeros: bool) -> np.ndarray:
    points = _Points.of(rows, skip_zeros)
    possible = min(count, points.count)
    found = _means(points, list(_starts(points, possible)))
    return np.pad(found, ((0, 0), (0, count - possible)), mode="edge")


@dataclass(frozen=True)
class _Points:
    """Sorted values with their weights, as running sums that begin with 0, each of shape (rows, values + 1).

    Attributes:
        weights: of the weights.
        sums: of the values about the row's middle, times their weights.
        middles: what was taken off, shape (rows,).
        least: smallest value of each point, shape (rows, values).
        greatest: the largest.
    """

    weights: np.ndarray
    sums: np.ndarray
    middles: np.ndarray
    least: np.ndarray
    greatest: np.ndarray

    @classmethod
    def of(cls, rows: np.ndarray, skip_zeros: bool) -> _Points:
        ordered = np.sort(rows, axis=1).astype(np.float64)
        weights = (ordered != 0).astype(np.float64) if skip_zeros else np.ones_like(ordered)
        total = weights.sum(axis=1)
        middles = np.divide((ordered * weights).sum(axis=1), total, out=np.zeros(len(rows)), where=total > 0)
        sums = (ordered - middles[:, None]) * weights
        least = greatest = ordered
        if ordered.shape[1] > MOST_POINTS:
            first = np.linspace(0, ordered.shape[1], MOST_POINTS, endpoint=False).astype(np.int64)
            weights, sums = (np.add.reduceat(each, first, axis=1) for each in (weights, sums))
            least, greatest = ordered[:, first], ordered[:, np.append(first[1:], ordered.shape[1]) - 1]
        return cls(_running(weights), _running(sums), middles, least, greatest)

    @property
    def count(self) -> int:
        return int(self.sums.shape[1]) - 1

    def gain(self, start: np.ndarray, stop: np.ndarray, times: np.ndarray | int = 1) -> np.ndarray:
        """Return how much the points from *start* to before *stop* lessen the squared error as one cluster.

        The error is the sum of squares, which is the same for every partition, less ``sum**2 / weight`` of each run.

        Args:
            start: places in the running sums of all rows, one row behind the other.
            stop: the same, each for as many of *start* in turn as *times* says.
            times: that.
        """
        weight = np.repeat(self.weights.take(stop), times) - self.weights.take(start)
        total = np.repeat(self.sums.take(stop), times) - self.sums.take(start)
        return np.asarray(total * total / np.maximum(weight, 1.0))  # weights are whole; of none the total is 0


def _running(values: np.ndarray) -> np.ndarray:
    """Return the sums of what comes before each place of each row, and of the whole row."""
    return np.pad(np.cumsum(values, axis=1), ((0, 0), (1, 0)))


def _starts(points: _Points, most: int) -> Iterator[np.ndarray]:
    """Yield for 1, 2, … clusters where the last one of each prefix of each row begins, shape (rows, values + 1)."""
    rows, width = points.sums.shape
    place = np.arange(rows * width)
    best = points.gain(place - place % width, place).reshape(rows, width)
    yield np.zeros((rows, width), np.int64)
    for count in range(2, most + 1):
        best, start = _with_one_more(points, best, count)
        yield start


def _with_one_more(points: _Points, before: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return what prefixes gain by *count* clusters, and where the last one begins; *before* is of one cluster less."""
    rows, width = before.shape
    best, starts = np.full_like(before, -np.inf), np.zeros(before.shape, np.int64)
    # Intervals of prefixes that are yet to be done, and between which starts theirs lie.
    row = np.arange(rows) * width
    low, high = np.full(rows, count), np.full(rows, width - 1)
    least, greatest = np.full(rows, count - 1), np.full(rows, width - 2)
    while row.size:
        middle = (low + high) // 2
        lengths = np.minimum(greatest, middle - 1) - least + 1
        begins = np.cumsum(lengths) - lengths
        tried = np.arange(lengths.sum()) + np.repeat(row + least - begins, lengths)
        gains = before.take(tried) + points.gain(tried, row + middle, lengths)
        most = np.maximum.reduceat(gains, begins)
        hits = np.flatnonzero(gains == np.repeat(most, lengths))
        found = tried[hits[np.searchsorted(hits, begins)]] - row
        best.reshape(-1)[row + middle], starts.reshape(-1)[row + middle] = most, found
        row = np.concatenate([row, row])
        low, high = np.concatenate([low, middle + 1]), np.concatenate([middle - 1, high])
        least, greatest = np.concatenate([least, found]), np.concatenate([found, greatest])
        left = low <= high
        row, low, high, least, greatest = (each[left] for each in (row, low, high, least, greatest))
    return best, starts


def _means(points: _Points, starts: list[np.ndarray]) -> np.ndarray:
    """Return the means of the runs, shape (rows, clusters)."""
    row = np.arange(len(points.sums))
    stop = np.full(len(row), points.count)
    means = []
    for start_of in reversed(starts):
        start = start_of[row, stop]
        weight = points.weights[row, stop] - points.weights[row, start]
        total = points.sums[row, stop] - points.sums[row, start]
        mean = np.divide(total, weight, out=np.zeros(len(row)), where=weight > 0)
        # Equal values are their own mean, and means rise, but for the rounding.
        mean = np.clip(mean + points.middles, points.least[row, start], points.greatest[row, stop - 1])
        means.append(np.where(weight > 0, mean, 0.0))
        stop = start
    return np.stack(means[::-1], axis=1)

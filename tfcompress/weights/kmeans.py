"""k-means of numbers on a line: few values that stand for many with the least squared error.

On sorted values a cluster is a run, so one round costs k binary searches in their running sums, whatever their number.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tfcompress.errors import ModelError
from tfcompress.weights.exact_kmeans import MOST_POINTS, best_centroids

EXACT = "exact"
"""The placement that needs no rounds."""

ROUNDS = 100
"""Rounds of Lloyd's algorithm at most; it stops by itself when nothing moves."""


def centroids(values: np.ndarray, count: int, init: str, seed: int) -> np.ndarray:
    """Return *count* centroids of *values*, rising, shape (count,), float32.

    Args:
        values: any shape, finite, not empty.
        count: how many; where there are no more different values than that, these are returned, the last one repeated.
        init: ``exact``: those of least squared error (of more than :data:`MOST_POINTS` values nearly so); or where the
            search starts: ``kmeans++`` (Arthur & Vassilvitskii 2007), ``linear`` (evenly between least and
            greatest), ``density`` (evenly among the ranks), ``random`` (uniformly between least and greatest).
        seed: seed of the draws.
    """
    flat = np.sort(values, axis=None).astype(np.float64)
    distinct = np.unique(flat)
    if distinct.size <= count:
        return np.pad(distinct, (0, count - distinct.size), mode="edge").astype(np.float32)
    if init == EXACT:
        found = best_centroids(flat[None], count)[0]
        return found if flat.size <= MOST_POINTS else refined(flat, found)
    start = _PLACEMENTS[init](flat, count, np.random.default_rng(seed))
    return refined(flat, start)


def refined(values: np.ndarray, start: np.ndarray) -> np.ndarray:
    """Move centroids to the means of their values until they stay (Lloyd 1982), rising, shape of *start*, float32.

    A centroid without values stays where it is.
    """
    flat = np.sort(values, axis=None).astype(np.float64)
    sums = np.concatenate([[0.0], np.cumsum(flat)])
    current = np.sort(start.astype(np.float64))
    for _ in range(ROUNDS):
        edges = np.concatenate([[0], np.searchsorted(flat, _midpoints(current)), [flat.size]])
        members = np.diff(edges)
        means = np.divide(np.diff(sums[edges]), members, out=current.copy(), where=members > 0)
        if np.array_equal(means, current):
            break
        current = np.sort(means)
    return current.astype(np.float32)


def initial_centroids(
    kernel: np.ndarray, count: int, init: str, seed: int, axis: int | None, *, skip_zeros: bool = False
) -> np.ndarray:
    """Return the centroids of a kernel, rising.

    Args:
        kernel: weights, of any shape.
        count: how many centroids.
        init: as for :func:`centroids`.
        seed: seed of the draws.
        axis: axis of the channels that get centroids of their own; None: all weights share them.
        skip_zeros: leave out weights that are 0 (pruned, so they stay that); a channel with no others gets zeros.

    Returns:
        float32 of shape (count,); with *axis*, of shape (channels, count).

    Raises:
        ModelError: a weight that is not finite.
    """
    if not np.isfinite(kernel).all():
        msg = (
            f"cluster finds a kernel of shape {kernel.shape} with weights that are not finite (NaN or infinite), which "
            "no values stand for; train with a lower learning rate, or repair the model"
        )
        raise ModelError(msg)
    if init == EXACT and axis is not None:
        return _exact_by_channel(np.moveaxis(kernel, axis, 0), count, skip_zeros=skip_zeros)
    found = []
    for channel in [kernel] if axis is None else np.moveaxis(kernel, axis, 0):
        kept = channel[channel != 0] if skip_zeros else channel
        found.append(centroids(kept, count, init, seed) if kept.size else np.zeros(count, np.float32))
    return found[0] if axis is None else np.stack(found)


def _exact_by_channel(channels: np.ndarray, count: int, *, skip_zeros: bool) -> np.ndarray:
    rows = channels.reshape(len(channels), -1)
    found = best_centroids(rows, count, skip_zeros=skip_zeros)
    if rows.shape[1] <= MOST_POINTS:
        return found
    kept = [row[row != 0] if skip_zeros else row for row in rows]
    return np.stack([refined(row, start) if row.size else start for row, start in zip(kept, found, strict=True)])


def snapped(values: np.ndarray, rising: np.ndarray, axis: int | None = None) -> np.ndarray:
    """Replace each value by its nearest centroid.

    Args:
        values: any shape.
        rising: centroids in rising order, shape (k,); with *axis*, shape (channels, k).
        axis: axis of the channels that have centroids of their own; None: all values share them.
    """
    if axis is None:
        found: np.ndarray = rising[np.searchsorted(_midpoints(rising), values)]
        return found
    channels = np.moveaxis(values, axis, 0)
    return np.moveaxis(np.stack([snapped(c, r) for c, r in zip(channels, rising, strict=True)]), 0, axis)


def _midpoints(rising: np.ndarray) -> np.ndarray:
    middles: np.ndarray = (rising[1:] + rising[:-1]) / 2
    return middles


def plus_plus(flat: np.ndarray, count: int, generator: np.random.Generator) -> np.ndarray:
    """Draw centroids among the values, each with a probability that grows with the squared distance to those drawn."""
    chosen = [flat[generator.integers(flat.size)]]
    distance = (flat - chosen[0]) ** 2
    for _ in range(count - 1):
        total = np.cumsum(distance)
        index = int(np.searchsorted(total, generator.random() * total[-1], side="right"))
        chosen.append(flat[min(index, flat.size - 1)])
        distance = np.minimum(distance, (flat - chosen[-1]) ** 2)
    return np.array(chosen)


def _linear(flat: np.ndarray, count: int, _: np.random.Generator) -> np.ndarray:
    return np.linspace(flat[0], flat[-1], count)


def _density(flat: np.ndarray, count: int, _: np.random.Generator) -> np.ndarray:
    ranks: np.ndarray = np.quantile(flat, (np.arange(count) + 0.5) / count)
    return ranks


def _random(flat: np.ndarray, count: int, generator: np.random.Generator) -> np.ndarray:
    return generator.uniform(flat[0], flat[-1], count)


_PLACEMENTS: dict[str, Callable[[np.ndarray, int, np.random.Generator], np.ndarray]] = {
    "kmeans++": plus_plus,
    "linear": _linear,
    "density": _density,
    "random": _random,
}

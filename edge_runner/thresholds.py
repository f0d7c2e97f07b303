"""From where on an output means yes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edge_runner.ndarray import Array


def best_threshold(scores: Sequence[float] | Array, truth: Sequence[int] | Array) -> float | None:
    """Return what an output must exceed to mean class 1 for most samples to be right.

    Thresholds lie half-way between neighbouring scores, or where the scores end; the lowest of equally good ones is
    taken.

    Args:
        scores: (samples,) reals.
        truth: (samples,) of 0 and 1.

    Returns:
        None without samples, or when a score is not finite.
    """
    values, positive = np.asarray(scores, np.float64), np.asarray(truth) == 1
    if not len(values) or not np.isfinite(values).all():
        return None
    levels, place = np.unique(values, return_inverse=True)
    gain = np.bincount(place.reshape(-1), weights=np.where(positive, -1.0, 1.0), minlength=len(levels))
    # how many are right where nothing is taken for 0, the lowest level is, the two lowest are, and so on
    cut = int(np.argmax(np.cumsum(np.append(np.count_nonzero(positive), gain))))
    if cut == 0:
        return float(np.nextafter(levels[0], -np.inf))
    if cut == len(levels):
        return float(levels[-1])
    return float(levels[cut - 1] + (levels[cut] - levels[cut - 1]) / 2)

"""Values that are 0 and a scale times powers of two: logarithmic quantization.

Miyashita et al. 2016, arXiv:1603.01025, section 3.1, and Zhou et al. 2017, arXiv:1702.03044, equation 1; there the
scale is a power of two itself, here it is free, as TFLite's scales are.
"""

from __future__ import annotations

import numpy as np

_STARTS = 2.0 ** -np.linspace(0.0, 2.0, 17)
_ROUNDS = 10


def levels(count: int) -> np.ndarray:
    """Return at most *count* values, rising, the largest 1: 0, +-1, +-1/2, +-1/4 …, float32.

    Example:
        >>> levels(6).tolist()
        [-1.0, -0.5, 0.0, 0.5, 1.0]
    """
    positive = 2.0 ** -np.arange((count - 1) // 2, dtype=np.float32)
    return np.concatenate([-positive, [0.0], positive[::-1]]).astype(np.float32)


def scales(rows: np.ndarray, count: int) -> np.ndarray:
    """Return for each row the scale of :func:`levels` that costs least squared error, as far as a search finds it.

    From several parts of the largest weight on, weights go to their nearest value and the scale to the least squares
    for that, in turns.

    Args:
        rows: weights, shape (rows, weights).
        count: of values, at least 3.

    Returns:
        Shape (rows, 1), float32; above 0.
    """
    unit = levels(count)
    bound = np.abs(rows).max(axis=1, keepdims=True).astype(np.float64)
    bound = np.where(bound > 0, bound, 1.0)
    found, least = bound, np.full(bound.shape, np.inf)
    for start in _STARTS:
        scale = bound * start
        for _ in range(_ROUNDS):
            chosen = _nearest(rows / scale, unit)
            power = (chosen**2).sum(axis=1, keepdims=True)
            fitted = (rows * chosen).sum(axis=1, keepdims=True) / np.where(power > 0, power, 1.0)
            scale = np.where(fitted > 0, fitted, scale)
        error = ((_nearest(rows / scale, unit) * scale - rows) ** 2).sum(axis=1, keepdims=True)
        found, least = np.where(error < least, scale, found), np.minimum(error, least)
    return found.astype(np.float32)


def _nearest(values: np.ndarray, rising: np.ndarray) -> np.ndarray:
    chosen: np.ndarray = rising[np.searchsorted((rising[1:] + rising[:-1]) / 2, values)]
    return chosen.astype(np.float64)

"""How the range of a tensor follows from its values on calibration samples: one class a calibrator.

A calibrator is one class here (or anywhere) and one line in :data:`tfcompress.export_choices.CALIBRATORS`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

BINS = 1280
"""Bins a sign, evenly spaced in the logarithm."""
OCTAVES = 20
"""From the largest magnitude down to it halved so many times; what is smaller is counted with the last."""
LEFT_OUT = 1e-4
"""Fraction of a tensor's values that :class:`Percentile` leaves out at either end."""
_STEPS = 255.0  # of a grid of 8 bits
_CANDIDATES = 2.0 ** (-np.arange(0, 64) / 8)


@dataclass(frozen=True)
class Histogram:
    """The values of a tensor on the calibration samples.

    Magnitudes of each sign are counted by their logarithm: one outlier a thousand times as large as all the rest leaves
    these in hundreds of bins.

    Attributes:
        low: least value, at most zero.
        high: largest value, at least zero.
        negative: how many values have magnitudes in each bin below *low*'s, shape (:data:`BINS`,), the smallest first.
        positive: the same of *high*.
        total: how many values there are, with those that are zero.
    """

    low: float
    high: float
    negative: np.ndarray
    positive: np.ndarray
    total: int

    @staticmethod
    def magnitudes(bound: float) -> np.ndarray:
        """Return the magnitude in the middle of each bin, shape (BINS,), where *bound* is the largest."""
        return bound * 2.0 ** ((np.arange(BINS) + 0.5) / BINS * OCTAVES - OCTAVES)

    @staticmethod
    def tops(bound: float) -> np.ndarray:
        """Return the largest magnitude of each bin, shape (BINS,)."""
        return bound * 2.0 ** ((np.arange(BINS) + 1.0) / BINS * OCTAVES - OCTAVES)


class Calibrator(ABC):
    """Chooses the range of a tensor.

    Attributes:
        counts: whether it needs a :class:`Histogram`, for which the samples are run a second time.
    """

    counts: ClassVar[bool] = True

    @abstractmethod
    def range(self, seen: Histogram) -> tuple[float, float]:
        """Return the least value (at most zero) and the largest (at least zero) that 8 bits are to cover."""


class MinMax(Calibrator):
    """From the least to the largest value, exactly: nothing is cut off."""

    counts = False

    def range(self, seen: Histogram) -> tuple[float, float]:
        """Return the ends as they are."""
        return seen.low, seen.high


class Percentile(Calibrator):
    """Cuts off a fraction (:data:`LEFT_OUT`) of the values at either end.

    Where so few values are not zero that all would be cut off, nothing is: the tensor would hold nothing but zeros.
    """

    def range(self, seen: Histogram) -> tuple[float, float]:
        """Return the quantiles :data:`LEFT_OUT` and ``1 - LEFT_OUT``, to a bin."""
        allowed = LEFT_OUT * seen.total
        low, high = -_quantile(-seen.low, seen.negative, allowed), _quantile(seen.high, seen.positive, allowed)
        return (low, high) if low < high else (seen.low, seen.high)


class LeastSquares(Calibrator):
    """Cuts off where rounding and cutting off together cost least.

    A value inside the range is off by up to half a step, evenly spread: its squared error is ``step ** 2 / 12``; one
    outside by its distance to the end (Banner et al. 2019, arXiv:1810.05723, section 3: there with fitted densities and
    symmetric ends; here with counts, and each end of its own). What is nearer to zero than half a step becomes zero,
    and is off by itself. Both ends are tried at 64 places an eighth of an octave apart.
    """

    def range(self, seen: Histogram) -> tuple[float, float]:
        """Return the pair of ends with the least sum of squared errors."""
        lows, highs = _ends(-seen.low), _ends(seen.high)
        cut_low, beyond_low = _cut_off(-seen.low, seen.negative, lows)
        cut_high, beyond_high = _cut_off(seen.high, seen.positive, highs)
        steps = (lows[:, np.newaxis] + highs[np.newaxis]) / _STEPS
        to_zero, near_zero = _rounded_to_zero(seen, steps)
        beyond = beyond_low[:, np.newaxis] + beyond_high[np.newaxis]
        inside = np.maximum(seen.negative.sum() + seen.positive.sum() - beyond - near_zero, 0)
        cost = cut_low[:, np.newaxis] + cut_high[np.newaxis] + to_zero + inside * steps**2 / 12
        low, high = np.unravel_index(np.argmin(cost), cost.shape)  # the widest of equals
        return -float(lows[low]), float(highs[high])


def _quantile(bound: float, counts: np.ndarray, allowed: float) -> float:
    """Return the magnitude that at most *allowed* values exceed."""
    beyond = np.cumsum(counts[::-1])[::-1]  # from each bin up
    kept = int(np.searchsorted(-beyond, -allowed, side="left"))  # the first bin from which up few enough lie
    return 0.0 if bound <= 0 or kept == 0 else float(Histogram.tops(bound)[kept - 1])


def _ends(bound: float) -> np.ndarray:
    return bound * _CANDIDATES if bound > 0 else np.zeros(1)


def _cut_off(bound: float, counts: np.ndarray, ends: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return for each end, shape (ends,), the squared error of what lies beyond it, and how many values do."""
    over = Histogram.magnitudes(bound)[np.newaxis] - ends[:, np.newaxis]
    return np.square(np.maximum(over, 0.0)) @ counts, (over > 0) @ counts


def _rounded_to_zero(seen: Histogram, steps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return for each step the squared error of values that become zero, and how many do, both of the shape of it."""
    magnitudes = np.concatenate([Histogram.magnitudes(-seen.low), Histogram.magnitudes(seen.high)])
    counts = np.concatenate([seen.negative, seen.positive])
    order = np.argsort(magnitudes)
    many = np.concatenate([[0], np.cumsum(counts[order])])
    squares = np.concatenate([[0.0], np.cumsum(counts[order] * magnitudes[order] ** 2)])
    place = np.searchsorted(magnitudes[order], steps / 2)
    return squares[place], many[place]

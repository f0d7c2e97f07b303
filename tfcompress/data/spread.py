"""How far each feature of an input spreads, and how many steps of an integer input lie within that.

An integer input has one scale for all its features. A feature whose values vary by less than a few of its steps is
lost, however good the network: raw columns of 0..1 beside others of 0..1,000,000 do that.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Spread:
    """Statistics of each feature: each place along the last axis, over samples and all other axes.

    Attributes:
        std: standard deviations, float64, shape (features,).
        low: least values, float64, shape (features,).
        high: largest values, float64, shape (features,).
    """

    std: np.ndarray
    low: np.ndarray
    high: np.ndarray

    @property
    def varying(self) -> np.ndarray:
        """Which features are not constant: bool, shape (features,)."""
        result: np.ndarray = self.high > self.low
        return result

    def steps(self, step: float | None = None, levels: int = 256) -> np.ndarray:
        """Return how many steps lie within one standard deviation of each feature.

        Args:
            step: width of a step in the input's own units (its scale in a TFLite file); None: that of *levels* over
                the range of all features together, and 0.
            levels: values that an integer has: 256 for int8.

        Returns:
            float64, shape (features,); infinite for a feature that is constant, of which nothing can be lost.
        """
        width = self._step(levels) if step is None else step
        return np.where(self.varying, self.std / width if width > 0 else np.inf, np.inf)

    def _step(self, levels: int) -> float:
        # A TFLite range always includes 0, so that padding is exact (Jacob et al. 2018, arXiv:1712.05877, section 3).
        low, high = min(0.0, float(self.low.min())), max(0.0, float(self.high.max()))
        return (high - low) / (levels - 1)


def measure_spread(batches: Iterable[np.ndarray]) -> Spread:
    """Measure the spread of each feature, in one pass.

    The variances of batches are joined exactly (Chan, Golub & LeVeque 1979, "Updating formulae and a pairwise algorithm
    for computing sample variances", equation 2.1).

    Args:
        batches: at least one, each of shape (samples, ..., features) or (samples,), any numeric dtype.

    Raises:
        ValueError: there are no values.
    """
    count, mean, squares = 0, np.zeros(1), np.zeros(1)
    low, high = np.full(1, np.inf), np.full(1, -np.inf)
    for batch in batches:
        values = np.asarray(batch, np.float64)
        flat = values.reshape(-1, values.shape[-1] if values.ndim > 1 else 1)
        if not flat.size:
            continue
        own, total = flat.mean(axis=0), count + len(flat)
        squares = squares + ((flat - own) ** 2).sum(axis=0) + (own - mean) ** 2 * (count * len(flat) / total)
        mean = mean + (own - mean) * (len(flat) / total)
        low, high = np.minimum(low, flat.min(axis=0)), np.maximum(high, flat.max(axis=0))
        count = total
    if not count:
        msg = "a spread needs at least one value"
        raise ValueError(msg)
    return Spread(np.sqrt(squares / count), low, high)

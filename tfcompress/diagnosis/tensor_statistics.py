"""Sums over samples from which a tensor's row is made: nothing is kept but counts and moments."""

from __future__ import annotations

import math

import numpy as np

from tfcompress.tflite.agreement import CAP_DB
from tfcompress.tflite.tensors import StoredTensor

_COUNTED = frozenset({"int8", "uint8", "int16"})
"""Dtypes of which every stored number is counted."""


class TensorStatistics:
    """What a tensor of a file holds against what a layer gives, over all samples."""

    def __init__(self, tensor: StoredTensor) -> None:
        self._tensor = tensor
        self._counts: np.ndarray | None = None
        if len(tensor.scales) == 1 and tensor.dtype in _COUNTED:
            limits = np.iinfo(tensor.dtype)
            self._lowest, self._highest = int(limits.min), int(limits.max)
            self._counts = np.zeros(self._highest - self._lowest + 1, np.int64)
        self._moments: list[np.ndarray] = []  # of the layer's values, by channel: sum and sum of squares
        self._error = self._values = self._beyond = 0.0
        self._low, self._high = math.inf, -math.inf

    @property
    def grid(self) -> tuple[float, float] | None:
        """The smallest and largest real number that the stored ones stand for; None: there is no grid."""
        if self._counts is None:
            return None
        step, zero = self._tensor.scales[0], self._tensor.zero_points[0]
        return (self._lowest - zero) * step, (self._highest - zero) * step

    def add(self, values: np.ndarray, layer: np.ndarray | None) -> None:
        """Take in samples.

        Args:
            values: real values of the file, any shape.
            layer: what the layer gives, as many values, its last axis the channels; None: no layer is known.
        """
        if self._counts is not None:
            stored = np.rint(values.reshape(-1) / self._tensor.scales[0]) + self._tensor.zero_points[0]
            self._counts += np.bincount(stored.astype(np.int64) - self._lowest, minlength=len(self._counts))
        if layer is not None:
            self._compare(values, layer)

    def _compare(self, values: np.ndarray, layer: np.ndarray) -> None:
        rows = layer.reshape(-1, layer.shape[-1] if layer.ndim > 1 else 1).astype(np.float64)
        sums = [rows.sum(0), (rows**2).sum(0)]
        self._moments = sums if not self._moments else [a + b for a, b in zip(self._moments, sums, strict=True)]
        self._error += float(np.sum((values.reshape(-1).astype(np.float64) - rows.reshape(-1)) ** 2))
        self._values += rows.size
        self._low, self._high = min(self._low, float(rows.min())), max(self._high, float(rows.max()))
        if self.grid is not None:
            slack = self._tensor.scales[0] / 2
            outside = (rows < self.grid[0] - slack) | (rows > self.grid[1] + slack)
            self._beyond += float(np.count_nonzero(outside))

    @property
    def snr_db(self) -> float | None:
        """Spread about each channel's mean against the error, in decibels, at most CAP_DB; None: not known.

        It is -CAP_DB where the file holds what is no number, and the layer none of that.
        """
        if not self._moments:
            return None
        count = self._values / len(self._moments[0])
        spread = float(np.mean(self._moments[1] / count - (self._moments[0] / count) ** 2))
        power = float(np.mean(self._moments[1] / count))
        if not math.isfinite(power) or spread <= 1e-12 * power:
            return None
        error = self._error / self._values
        if not math.isfinite(error):
            return -CAP_DB
        return max(-CAP_DB, min(CAP_DB, 10 * math.log10(spread / error))) if error else CAP_DB

    @property
    def clipped(self) -> float | None:
        """Fraction of the layer's values beyond the grid; None: no grid, or no layer."""
        return self._beyond / self._values if self._values and self._counts is not None else None

    @property
    def reached(self) -> tuple[float, float] | None:
        """Smallest and largest value of the layer; None: no layer."""
        return (self._low, self._high) if self._values else None

    @property
    def used(self) -> float | None:
        """Fraction of the grid between the smallest and the largest stored number; None: no grid."""
        if self._counts is None:
            return None
        there = np.flatnonzero(self._counts)
        return float(there[-1] - there[0]) / (len(self._counts) - 1) if len(there) else None

    @property
    def distinct(self) -> int | None:
        """How many different stored numbers occurred; None: no grid."""
        return None if self._counts is None else int(np.count_nonzero(self._counts))

"""Metrics of Keras on arrays, for scores."""

from __future__ import annotations

from typing import Any

import numpy as np


class KerasMetric:
    """A metric of ``keras.metrics`` with its defaults, fed with batches.

    Args:
        name: of its class.
    """

    def __init__(self, name: str) -> None:
        import keras

        self._metric: Any = getattr(keras.metrics, name)()

    def add(self, outputs: np.ndarray, labels: np.ndarray) -> None:
        """Take one batch: outputs and labels, (samples, ...)."""
        self._metric.update_state(labels, outputs)

    def value(self) -> float:
        """Return the figure of all batches."""
        return float(self._metric.result())

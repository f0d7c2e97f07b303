"""Batch normalization whose statistics can be frozen in the middle of a training."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from tfcompress.models.keras_private import adjusts_moments


@keras.saving.register_keras_serializable("tfcompress")
@adjusts_moments
class FreezableBatchNormalization(keras.layers.BatchNormalization):  # type: ignore[misc]
    """BatchNormalization that, once frozen, trains with its moving statistics: those that the file will hold.

    (Krishnamoorthi 2018, arXiv:1806.08342, section 3.2.1: quantization-aware training gains from switching to them.)

    Attributes:
        frozen: 1.0: frozen; 0.0: not; a variable of shape (), so that functions that are traced see the change.
    """

    def build(self, input_shape: Any) -> None:
        """Create the weights."""
        super().build(input_shape)
        self.frozen = self.add_weight(
            name="frozen", shape=(), initializer="zeros", trainable=False, dtype="float32", aggregation="mean"
        )

    @property
    def factor(self) -> np.ndarray:
        """What a channel is multiplied by at inference, ``gamma / sqrt(variance + epsilon)``: float64, (channels,)."""
        variance = np.asarray(self.moving_variance, np.float64)
        gamma = np.asarray(self.gamma, np.float64) if self.scale else np.ones_like(variance)
        return np.asarray(gamma / np.sqrt(variance + self.epsilon))

    def adjusted_moments(self, mean: Any, variance: Any) -> tuple[Any, Any]:
        """Return what is normalized with: the batch's own mean and variance, of shape (channels,), until frozen."""
        ops = keras.ops
        frozen = self.frozen.value > 0.0
        mean = ops.where(frozen, ops.cast(self.moving_mean, mean.dtype), mean)
        return mean, ops.where(frozen, ops.cast(self.moving_variance, variance.dtype), variance)

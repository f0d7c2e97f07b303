"""The rounding of weights to the grid of TFLite's integers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfcompress.errors import UsageError
from tfcompress.models.transformed_layer import WeightTransform


@keras.saving.register_keras_serializable("tfcompress")
class WeightFakeQuant(WeightTransform):
    """Rounds a weight to the symmetric grid of TFLite's weights, ``scale * {-(2**(b-1) - 1) … 2**(b-1) - 1}``.

    ``scale = max|w| / (2**(b-1) - 1)`` for each slice along *axes* (Jacob et al. 2018, arXiv:1712.05877, section 3; the
    narrow range that TFLite's 8-bit specification asks for). Every weight lies within the range, so the gradient passes
    unchanged. A BatchNormalization that follows scales whole slices, and so moves the grid with the weights: rounding
    before it is folded in, or after, gives the same integers.

    Attributes:
        bits: 8 or 4.
        axes: axes that have a scale for each place, e.g. (3,) for a convolution's (height, width, in, out); none: one
            scale for the whole weight.
    """

    def __init__(self, *, bits: int = 8, axes: Sequence[int] = (), **options: Any) -> None:
        """Create the transform; see the class.

        Raises:
            UsageError: bits that are neither 8 nor 4.
        """
        super().__init__(**options)
        if bits not in (4, 8):
            msg = f"WeightFakeQuant bits must be 4 or 8, got {bits!r}; choose one of them"
            raise UsageError(msg)
        self.bits, self.axes = bits, tuple(axes)
        self.built = True

    @property
    def largest(self) -> float:
        """Largest integer of the grid."""
        return float(2 ** (self.bits - 1) - 1)

    def _others(self, rank: int) -> tuple[int, ...]:
        return tuple(axis for axis in range(rank) if axis not in self.axes)

    def call(self, weights: Any, training: bool | None = None) -> Any:
        """Round *weights*; the gradient passes through."""
        return self._rounded(tf.convert_to_tensor(weights))

    def _rounded(self, weights: Any) -> Any:
        @tf.custom_gradient  # type: ignore[untyped-decorator]
        def straight_through(weights: Any) -> tuple[Any, Any]:
            bound = tf.reduce_max(tf.abs(weights), axis=self._others(len(weights.shape)), keepdims=True)
            scale = tf.where(bound > 0.0, bound, 1.0) / self.largest
            return tf.round(weights / scale) * scale, lambda gradient: gradient

        return straight_through(weights)

    def scale(self, weights: np.ndarray) -> np.ndarray:
        """Return the distance between two values of the grid, shaped to multiply *weights*."""
        bound = np.abs(weights).max(axis=self._others(weights.ndim), keepdims=True)
        return np.asarray(np.where(bound > 0.0, bound, np.float32(1.0)) / np.float32(self.largest), np.float32)

    def final(self, weights: np.ndarray) -> np.ndarray:
        """Return the rounded values."""
        scale = self.scale(weights)
        return np.asarray(np.round(weights / scale) * scale, np.float32)

    def get_config(self) -> dict[str, Any]:
        """Describe the transform."""
        return {**super().get_config(), "bits": self.bits, "axes": list(self.axes)}

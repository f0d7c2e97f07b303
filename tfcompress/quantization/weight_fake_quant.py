"""The rounding of weights to the grid of TFLite's integers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfcompress.errors import UsageError
from tfcompress.models.transformed_layer import WeightTransform

SHRINKING = np.linspace(1.0, 0.4, 25)
"""Parts of the largest weight that are tried as the end of a grid."""


@keras.saving.register_keras_serializable("tfcompress")
class WeightFakeQuant(WeightTransform):
    """Rounds a weight to the symmetric grid of TFLite's weights, ``scale * {-(2**(b-1) - 1) … 2**(b-1) - 1}``.

    ``scale = max|w| / (2**(b-1) - 1)`` for each slice along *axes* (Jacob et al. 2018, arXiv:1712.05877, section 3; the
    narrow range that TFLite's 8-bit specification asks for). Every weight lies within the range, so the gradient passes
    unchanged. A BatchNormalization that follows scales whole slices, and so moves the grid with the weights: rounding
    before it is folded in, or after, gives the same integers.

    Few bits are worth more where the grid ends before the largest weight: *clip* gives each slice an end of its own,
    which begins where the squared error is least and is trained with the weights (LSQ: Esser et al. 2020,
    arXiv:1902.08153, eq. 3 and section 2.2); what lies farther beyond it has no gradient. It never ends behind the
    largest weight, so that some weight always lies at the end, and whoever rounds the result finds the same integers.

    Attributes:
        bits: 8 or 4.
        axes: axes that have a scale for each place, e.g. (3,) for a convolution's (height, width, in, out); none: one
            scale for the whole weight.
        clip: shape of the ends of the grid, which multiplies the weight's, e.g. (1, 1, 1, 64); None: the largest weight
            is the end.
        end: the ends, where there is a *clip*.
        observing: nothing is rounded: see :mod:`tfcompress.quantization.calibration`.
    """

    def __init__(
        self, *, bits: int = 8, axes: Sequence[int] = (), clip: Sequence[int] | None = None, **options: Any
    ) -> None:
        """Create the transform; see the class.

        Raises:
            UsageError: bits that are neither 8 nor 4.
        """
        super().__init__(**options)
        if bits not in (4, 8):
            msg = f"WeightFakeQuant bits must be 4 or 8, got {bits!r}; choose one of them"
            raise UsageError(msg)
        self.bits, self.axes = bits, tuple(axes)
        self.clip = None if clip is None else tuple(clip)
        self.end: Any = None
        self.observing = False
        if self.clip is not None:
            self.end = self.add_weight(name="end", shape=self.clip, initializer="ones", dtype="float32")
        self.built = True

    @classmethod
    def clipping(cls, weights: np.ndarray, *, bits: int, axes: Sequence[int]) -> WeightFakeQuant:
        """Return a transform whose grid begins where the squared error of *weights* is least."""
        axes = tuple(axis % weights.ndim for axis in axes)
        made = cls(bits=bits, axes=axes, clip=[s if axis in axes else 1 for axis, s in enumerate(weights.shape)])
        made.fit_(weights)
        return made

    def fit_(self, weights: np.ndarray) -> None:
        """Let the grid end where the squared error of *weights* is least; without a *clip* it does nothing."""
        if self.clip is None:
            return
        others = self._others(weights.ndim)
        moved = np.transpose(np.asarray(weights, np.float64), (*others, *self.axes))
        flat = moved.reshape(-1, int(np.prod(self.clip)))
        self.end.assign((least_squares_scale(flat, self.largest) * self.largest).reshape(self.clip))

    @property
    def largest(self) -> float:
        """Largest integer of the grid."""
        return float(2 ** (self.bits - 1) - 1)

    def _others(self, rank: int) -> tuple[int, ...]:
        return tuple(axis for axis in range(rank) if axis not in self.axes)

    def call(self, weights: Any, training: bool | None = None) -> Any:
        """Round *weights*; the gradient passes through."""
        weights = tf.convert_to_tensor(weights)
        if self.observing:
            return weights
        return self._rounded(weights) if self.end is None else self._clipped(weights)

    def _rounded(self, weights: Any) -> Any:
        @tf.custom_gradient  # type: ignore[untyped-decorator]
        def straight_through(weights: Any) -> tuple[Any, Any]:
            bound = tf.reduce_max(tf.abs(weights), axis=self._others(len(weights.shape)), keepdims=True)
            scale = tf.where(bound > 0.0, bound, 1.0) / self.largest
            return tf.round(weights / scale) * scale, lambda gradient: gradient

        return straight_through(weights)

    def _clipped(self, weights: Any) -> Any:
        largest = tf.stop_gradient(tf.reduce_max(tf.abs(weights), axis=self._others(len(weights.shape)), keepdims=True))
        end = tf.minimum(tf.abs(self.end.value), tf.where(largest > 0.0, largest, 1.0))
        share = 1.0 / np.sqrt(self.largest * float(np.prod(weights.shape) / np.prod(end.shape)))
        scale = (share * end + tf.stop_gradient((1.0 - share) * end)) / self.largest
        # Half a step beyond the end a weight still has its gradient: one that stands at the end can come back.
        steps = tf.clip_by_value(weights / scale, -self.largest - 0.5, self.largest + 0.5)
        whole = tf.clip_by_value(tf.round(steps), -self.largest, self.largest)
        return (steps + tf.stop_gradient(whole - steps)) * scale

    def scale(self, weights: np.ndarray) -> np.ndarray:
        """Return the distance between two values of the grid, shaped to multiply *weights*."""
        bound = np.abs(weights).max(axis=self._others(weights.ndim), keepdims=True)
        bound = np.where(bound > 0.0, bound, np.float32(1.0))
        if self.end is not None:
            bound = np.minimum(bound, np.abs(np.asarray(self.end)))
        return np.asarray(bound / np.float32(self.largest), np.float32)

    def final(self, weights: np.ndarray) -> np.ndarray:
        """Return the rounded values."""
        scale = self.scale(weights)
        return np.asarray(np.clip(np.round(weights / scale), -self.largest, self.largest) * scale, np.float32)

    def get_config(self) -> dict[str, Any]:
        """Describe the transform."""
        return {**super().get_config(), "bits": self.bits, "axes": list(self.axes), "clip": self.clip}


def least_squares_scale(weights: np.ndarray, largest: float, importance: np.ndarray | None = None) -> np.ndarray:
    """Return for each output the step of the grid that costs least squared error, shape (outputs,).

    Args:
        weights: shape (inputs, outputs).
        largest: largest integer of the grid; the grid ends at most at the largest weight.
        importance: how much the squared error of each input's weight counts, shape (inputs,); None: all alike.
    """
    weighing = np.ones(len(weights)) if importance is None else importance
    bound = np.abs(weights).max(axis=0)
    bound = np.where(bound > 0, bound, 1.0)
    found, least = bound / largest, np.full(bound.shape, np.inf)
    for part in SHRINKING:
        scale = part * bound / largest
        error = weighing @ np.square(np.clip(np.round(weights / scale), -largest, largest) * scale - weights)
        found, least = np.where(error < least, scale, found), np.minimum(error, least)
    return np.asarray(found)

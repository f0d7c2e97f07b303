"""A kernel whose weights share few values, while it trains."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfcompress.models.transformed_layer import WeightTransform
from tfcompress.weights import kmeans, power_of_two
from tfcompress.weights.constraints import numpy_of


@keras.saving.register_keras_serializable("tfcompress")
class ClusterLookup(WeightTransform):
    """Looks one kernel up among trained centroids: every weight becomes its nearest one.

    The gradient goes to the centroid (summed over its weights: Han et al. 2016, arXiv:1510.00149, section 3.3) and,
    past the lookup, to the weight itself, which so can move to another centroid.

    Attributes:
        clusters: how many centroids.
        channels: channels that have centroids of their own; None: all weights share them.
        axis: axis of these channels.
        keep_zeros: weights that are 0 stay 0, beside the centroids.
        scheme: ``kmeans``, or ``power_of_two``: centroids are a scale times
            :func:`tfcompress.weights.power_of_two.levels`.
        centroids: variable of shape (clusters,), or (channels, clusters); of powers of two their scale, shape (1,) or
            (channels, 1).
        active: 1.0 once the centroids are placed, variable of shape (); until then the kernel passes as it is.
    """

    def __init__(
        self,
        clusters: int,
        *,
        channels: int | None = None,
        axis: int = -1,
        keep_zeros: bool = False,
        scheme: str = "kmeans",
        **options: Any,
    ) -> None:
        """Create the variables; see the class."""
        super().__init__(**options)
        self.clusters, self.channels, self.axis, self.keep_zeros = clusters, channels, axis, keep_zeros
        self.scheme = scheme
        self._levels = power_of_two.levels(clusters) if scheme == "power_of_two" else None
        held = clusters if self._levels is None else 1
        shape = (held,) if channels is None else (channels, held)
        self.centroids = self.add_weight(name="centroids", shape=shape, initializer="zeros", dtype="float32")
        self.active = self.add_weight(
            name="active", shape=(), initializer="zeros", trainable=False, dtype="float32", aggregation="mean"
        )
        self.built = True

    def placed(self, kernel: np.ndarray, init: str, seed: int) -> np.ndarray:
        """Return centroids of the shape of :attr:`centroids`, by k-means; changes nothing.

        Args:
            kernel: weights; zeros are left out where they are kept apart.
            init: as for :func:`tfcompress.weights.kmeans.centroids`.
            seed: seed of the draws.
        """
        if self._levels is None:
            return kmeans.initial_centroids(kernel, self.clusters, init, seed, self._axis, skip_zeros=self.keep_zeros)
        rows = kernel.reshape(1, -1) if self.channels is None else np.moveaxis(kernel, self.axis, 0)
        found = power_of_two.scales(rows.reshape(len(rows), -1), self.clusters)
        return found[0] if self.channels is None else found

    def start_(self, centroids: np.ndarray) -> None:
        """Look weights up among *centroids* from now on."""
        self.centroids.assign(centroids)
        self.active.assign(1.0)

    @property
    def started(self) -> bool:
        """Whether the centroids are placed."""
        return float(numpy_of(self.active)) > 0

    @property
    def _axis(self) -> int | None:
        return None if self.channels is None else self.axis

    def call(self, weights: Any, training: bool | None = None) -> Any:
        """Return the clustered kernel; *weights* is the kernel, masked already if it is pruned."""
        value = tf.convert_to_tensor(weights)
        looked_up = tf.cast(self._looked_up(tf.cast(value, tf.float32)), value.dtype)
        if self.keep_zeros:
            looked_up = tf.where(value == 0, tf.zeros_like(value), looked_up)
        return tf.where(self.active.value > 0, looked_up + (value - tf.stop_gradient(value)), value)

    def _looked_up(self, value: Any) -> Any:
        held = self.centroids.value
        rising = tf.sort(held if self._levels is None else held * self._levels, axis=-1)
        middles = tf.stop_gradient((rising[..., 1:] + rising[..., :-1]) / 2)
        if self.channels is None:
            index = tf.searchsorted(middles, tf.reshape(value, [-1]))
            return tf.reshape(tf.gather(rising, index), value.shape)
        moved = keras.ops.moveaxis(value, self.axis, 0)
        index = tf.searchsorted(middles, tf.reshape(moved, [self.channels, -1]))
        found = tf.reshape(tf.gather(rising, index, batch_dims=1), moved.shape)
        return keras.ops.moveaxis(found, 0, self.axis)

    def final(self, weights: np.ndarray) -> np.ndarray:
        """Return the kernel as the forward pass uses it."""
        return self.snapped(weights, numpy_of(self.centroids)) if self.started else weights

    def snapped(self, weights: np.ndarray, centroids: np.ndarray) -> np.ndarray:
        """Return *weights* with each one at its nearest of *centroids*, of the shape of :attr:`centroids`."""
        values = centroids if self._levels is None else centroids * self._levels
        found = kmeans.snapped(weights, np.sort(values, axis=-1), self._axis)
        return np.where(weights == 0, 0, found).astype(weights.dtype) if self.keep_zeros else found

    def get_config(self) -> dict[str, Any]:
        """Describe the transform."""
        own = {name: getattr(self, name) for name in ("clusters", "channels", "axis", "keep_zeros", "scheme")}
        return {**super().get_config(), **own}

"""Pruning and clustering inside tfmot's quantize wrapper, so that they train together with it in one ``fit``.

tfmot's own combinations (PQAT, CQAT, PCQAT) start from a model that was pruned or clustered in a training of its own,
and hold that fixed: their sparsity masks are constants taken from the kernel when the wrapper is built. They also lose
clusters (a convolution's channels get centroids of their own) and zero 1x1 kernels (tfmot#1056, #979). Here a quantizer
of ours stands before tfmot's: it masks with tfmot's own pruning rule, gradually, and looks weights up among centroids
that are trained.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras

from tfcompress.engines.tfmot.clocked_schedule import Clock, ClockedSchedule
from tfcompress.engines.tfmot.names import Pruning, QuantizeConfig, Quantizer
from tfcompress.engines.tfmot.prune import TWO_OF_FOUR, keep_zero_, masked
from tfcompress.recipe import Cluster, Prune
from tfcompress.weights import kmeans
from tfcompress.weights.masks import pruned


class PruneTransform:
    """Masks one kernel by tfmot's rule (``Pruning``), on the job's schedule.

    Attributes:
        mask: variable of the kernel's shape, 1 where a weight is kept.
        step: training steps seen, scalar int64 variable.
    """

    def __init__(self, wrapper: Any, kernel: Any, stage: Prune, clock: Clock) -> None:
        """Create the variables in *wrapper*, so that checkpoints hold them."""
        self.stage, self.kernel, self.clock = stage, kernel, clock
        ones, zeros = tf_keras.initializers.Ones(), tf_keras.initializers.Zeros()
        self.mask = wrapper.add_weight("prune_mask", kernel.shape, initializer=ones, trainable=False)
        self.threshold = wrapper.add_weight("prune_threshold", (), initializer=zeros, trainable=False)
        self.step = wrapper.add_weight("prune_step", (), dtype=tf.int64, initializer=zeros, trainable=False)
        self.rule = Pruning(
            training_step_fn=lambda: self.step,
            pruning_vars=[(kernel, self.mask, self.threshold)],
            pruning_schedule=ClockedSchedule(stage, clock, [int(np.prod(kernel.shape))]),
            block_size=stage.block_shape,
            block_pooling_type="AVG",
            sparsity_m_by_n=TWO_OF_FOUR if stage.pattern == "2:4" else None,
        )
        keep_zero_(kernel, self.mask)

    def update_(self) -> None:
        """Count a training step, and update mask and kernel when it is their turn."""
        self.step.assign_add(1)
        self.rule.conditional_mask_update()
        self.rule.weight_mask_op()

    def __call__(self, value: Any) -> Any:
        """Return *value* with zeros where the mask is 0."""
        return value * self.mask

    def current(self) -> np.ndarray:
        """Return the masked kernel."""
        return masked(self.kernel, self.mask)

    def final(self) -> np.ndarray:
        """Return the kernel with at least the sparsity asked for."""
        return pruned(self.current(), self.stage)

    @property
    def over(self) -> bool:
        """Whether the schedule has run to its end."""
        return self.clock.plan is not None and int(self.step.numpy()) >= self.clock.plan.end


class ClusterTransform:
    """Looks one kernel up among trained centroids: every weight becomes its nearest one.

    The gradient goes to the centroid (summed over its weights: Han et al. 2016, arXiv:1510.00149, section 3.3) and,
    past the lookup, to the weight itself, which so can move to another centroid.

    Attributes:
        centroids: variable of shape (k,), or (channels, k) where channels are clustered apart. A pruned kernel's zero
            is not among them; it counts as one of the stage's values.
        active: 1 once the centroids are placed, scalar int32 variable; until then the kernel passes as it is.
    """

    def __init__(
        self, wrapper: Any, kernel: Any, stage: Cluster, *, axis: int | None, prune: PruneTransform | None, seed: int
    ) -> None:
        """Create the variables in *wrapper*; without pruning the centroids are placed at once."""
        self.stage, self.kernel, self.axis, self.prune, self.seed = stage, kernel, axis, prune, seed
        count = stage.clusters - (1 if prune else 0)
        shape = (count,) if axis is None else (kernel.shape[axis], count)
        zeros = tf_keras.initializers.Zeros()
        # With the layer's name: an optimizer's slots are called after them, and a name is there once in an .h5 file.
        self.centroids = wrapper.add_weight(
            f"{wrapper.name}/cluster_centroids", shape, initializer=zeros, trainable=True
        )
        self.active = wrapper.add_weight("cluster_active", (), dtype=tf.int32, initializer=zeros, trainable=False)
        if prune is None:
            self.start_(kernel.numpy())

    def start_(self, value: np.ndarray) -> None:
        """Place the centroids by k-means among the weights of *value* that are not pruned, and look up from now on."""
        self.centroids.assign(self._placed(value))
        self.active.assign(1)

    def _placed(self, value: np.ndarray) -> np.ndarray:
        count, pruned_apart = self.centroids.shape[-1], self.prune is not None
        return kmeans.initial_centroids(value, count, self.stage.init, self.seed, self.axis, skip_zeros=pruned_apart)

    def __call__(self, value: Any) -> Any:
        """Return the clustered kernel; *value* is the kernel, masked already if it is pruned."""
        if self.prune is None:
            return self._looked_up(value)
        # Centroids that wait still need a gradient (of 0): Keras warns about trainable variables without one.
        return tf.cond(
            self.active > 0, lambda: self._looked_up(value), lambda: value + 0.0 * tf.reduce_sum(self.centroids)
        )

    def _looked_up(self, value: Any) -> Any:
        rising = tf.sort(self.centroids, axis=-1)
        middles = tf.stop_gradient((rising[..., 1:] + rising[..., :-1]) / 2)
        if self.axis is None:
            index = tf.searchsorted(middles, tf.reshape(value, [-1]))
            found = tf.reshape(tf.gather(rising, index), value.shape)
        else:
            rows = tf.reshape(tf.transpose(value, _to_front(value.shape.rank)), [rising.shape[0], -1])
            index = tf.searchsorted(middles, rows)
            picked = tf.reshape(tf.gather(rising, index, batch_dims=1), [value.shape[-1], *value.shape[:-1]])
            found = tf.transpose(picked, _to_back(value.shape.rank))
        if self.prune is not None:
            found *= self.prune.mask
        return found + (value - tf.stop_gradient(value))

    def current(self) -> np.ndarray:
        """Return the kernel as the forward pass uses it."""
        value = self.prune.current() if self.prune else self.kernel.numpy()
        return self._snapped(value, self.centroids.numpy()) if int(self.active.numpy()) else value

    def final(self) -> np.ndarray:
        """Return the kernel clustered (and pruned), whether or not training has come that far."""
        value = self.prune.final() if self.prune else self.kernel.numpy()
        return self._snapped(value, self.centroids.numpy() if int(self.active.numpy()) else self._placed(value))

    def _snapped(self, value: np.ndarray, centroids: np.ndarray) -> np.ndarray:
        found = kmeans.snapped(value, np.sort(centroids, axis=-1), self.axis)
        return np.where(value == 0, 0, found).astype(value.dtype) if self.prune else found


def _to_front(rank: int) -> list[int]:
    return [rank - 1, *range(rank - 1)]


def _to_back(rank: int) -> list[int]:
    return [*range(1, rank), 0]


class TransformedQuantizer(Quantizer):  # type: ignore[misc]  # tfmot ships no types
    """A quantizer for tfmot's wrapper: prune, then cluster, then tfmot's own quantizer."""

    def __init__(
        self, prune: PruneTransform | None, cluster: ClusterTransform | None, quantize: Callable[..., Any] | None
    ) -> None:
        """Put the steps together; each may be missing."""
        self.prune, self.cluster, self.quantize = prune, cluster, quantize

    def build(self, tensor_shape: Any, name: str, layer: Any) -> dict[str, Any]:
        """Return nothing: the wrapper was built before this quantizer came in, and keeps what it built."""
        return {}

    def __call__(self, inputs: Any, training: Any, weights: dict[str, Any], **kwargs: Any) -> Any:
        """Return the kernel (of *inputs*' shape) as the layer is to use it."""
        value = inputs
        if self.prune is not None:
            if training:
                self.prune.update_()
            value = self.prune(tf.convert_to_tensor(value))
        if self.cluster is not None:
            value = self.cluster(tf.convert_to_tensor(value))
        return value if self.quantize is None else self.quantize(value, training, weights, **kwargs)

    def get_config(self) -> dict[str, Any]:
        """Return an empty config; the wrapper's own config holds all that is saved."""
        return {}


class PassThrough(Quantizer):  # type: ignore[misc]  # tfmot ships no types
    """A quantizer that changes nothing, until :class:`TransformedQuantizer` takes its place."""

    def build(self, tensor_shape: Any, name: str, layer: Any) -> dict[str, Any]:
        """Return no variables."""
        return {}

    def __call__(self, inputs: Any, training: Any, weights: dict[str, Any], **kwargs: Any) -> Any:
        """Return *inputs*."""
        return tf.convert_to_tensor(inputs)

    def get_config(self) -> dict[str, Any]:
        """Return an empty config."""
        return {}


class KernelOnly(QuantizeConfig):  # type: ignore[misc]  # tfmot ships no types
    """Makes tfmot's quantize wrapper hold one kernel of a layer, and quantize nothing."""

    def __init__(self, attribute: str) -> None:
        """Hold the layer's kernel of that attribute name."""
        self.attribute = attribute

    def get_weights_and_quantizers(self, layer: Any) -> list[tuple[Any, Quantizer]]:
        """Return the kernel."""
        return [(getattr(layer, self.attribute), PassThrough())]

    def get_activations_and_quantizers(self, layer: Any) -> list[tuple[Any, Quantizer]]:
        """Return nothing."""
        return []

    def set_quantize_weights(self, layer: Any, quantize_weights: list[Any]) -> None:
        """Let the layer use the transformed kernel."""
        setattr(layer, self.attribute, quantize_weights[0])

    def set_quantize_activations(self, layer: Any, quantize_activations: list[Any]) -> None:
        """Do nothing: activations are not quantized."""
        del layer, quantize_activations  # a body of words alone is more than TensorFlow's AutoGraph can take

    def get_output_quantizers(self, layer: Any) -> list[Quantizer]:
        """Return nothing."""
        return []

    def get_config(self) -> dict[str, Any]:
        """Return what the constructor takes."""
        return {"attribute": self.attribute}

"""How much the loss would change without a weight, measured on samples."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfcompress.errors import UsageError
from tfcompress.models.copies import input_name
from tfcompress.models.samples import Aim, Samples
from tfcompress.weights.constraints import numpy_of

MOST = 256
"""Samples looked at, at most."""

BATCHES = {"taylor": 32, "hessian": 4}
"""Criterion -> samples whose gradient is taken at once; small for the Hessian, which needs a sample's own gradient."""


class LossSensitivity:
    """How much the loss changes when a weight is set to zero, by a criterion.

    - ``taylor``: mean over batches of ``|gradient * weight|``, the first term of the loss's Taylor expansion (Molchanov
      et al. 2017, arXiv:1611.06440, equation 7, for single weights).
    - ``hessian``: ``weight**2 * h / 2``, the second term with the Hessian's diagonal h (LeCun et al. 1990, "Optimal
      Brain Damage", equation 5), for which the mean square of gradients of a few samples each stands (the empirical
      Fisher information; Theis et al. 2018, arXiv:1801.05787, equation 7).
    """

    def __init__(self, criterion: str, model: Any, samples: Samples | None) -> None:
        """Keep samples of *model* for the gradients.

        Their aims count where they have any; else the loss that the model is compiled with, on their labels.

        Raises:
            UsageError: there are no samples, or none with aims or labels.
        """
        if samples is None or (samples.labels is None and samples.aims is None):
            given = "none" if samples is None else "samples without labels"
            msg = (
                f"prune.criterion {criterion!r} takes gradients on training samples with labels, got {given}; "
                "give them (samples= of attach), or choose criterion 'magnitude' or 'movement'"
            )
            raise UsageError(msg)
        self.criterion, self.model = criterion, model
        self._samples = samples
        self._gradients: Any = None

    @functools.cached_property
    def _aims(self) -> list[tuple[int, Aim]]:
        """What outputs are trained by, with their places; empty: the labels decide."""
        aims = () if self._samples.aims is None else self._samples.aims()
        return [(place, aim) for place, aim in enumerate(aims) if aim is not None]

    @property
    def _truth(self) -> Any:
        return [aim.targets for _, aim in self._aims] or self._samples.labels

    def __call__(self, kernels: Sequence[Any]) -> list[np.ndarray]:
        """Return an importance for each weight, an array of shape and order of *kernels*."""
        values = [numpy_of(kernel) for kernel in kernels]
        sums = [np.zeros(value.shape, np.float64) for value in values]
        count = 0
        for inputs, labels in self._batches():
            for total, value, gradient in zip(sums, values, self._taken(kernels, inputs, labels), strict=True):
                total += np.abs(gradient * value) if self.criterion == "taylor" else gradient**2
            count += 1
        if self.criterion == "taylor":
            return [total / count for total in sums]
        return [total / count * value**2 / 2 for total, value in zip(sums, values, strict=True)]

    def _taken(self, kernels: Sequence[Any], inputs: Any, labels: Any) -> list[np.ndarray]:
        if self._gradients is None:
            self._gradients = _gradient_function(self.model, kernels, self._loss())
        return [np.asarray(gradient, np.float64) for gradient in self._gradients(inputs, labels)]

    def _loss(self) -> Callable[[Any, Any, Any], Any]:
        if self._aims:
            return _loss_of_aims(self._aims)
        return _compiled_loss(self.model) if getattr(self.model, "compiled", False) else _guessed_loss(self.model)

    def _batches(self) -> Iterator[tuple[Any, Any]]:
        size, truth = BATCHES[self.criterion], self._truth
        names = [input_name(tensor) for tensor in self.model.inputs]
        available = len(next(iter(self._samples.inputs.values())))
        # Whole batches only: another shape would be another function to trace.
        count = max(size, min(MOST, available) // size * size) if available >= size else available
        for start in range(0, count, size):
            rows = slice(start, min(start + size, available))
            flat = [tf.convert_to_tensor(self._samples.inputs[name][rows]) for name in names]
            labels = keras.tree.map_structure(lambda a, rows=rows: tf.convert_to_tensor(a[rows]), truth)
            yield _structured(self.model, flat), labels


def _structured(model: Any, flat: list[Any]) -> Any:
    given = model.inputs[0] if isinstance(model, keras.Sequential) else model.input
    return keras.tree.pack_sequence_as(given, flat)


def _gradient_function(
    model: Any, kernels: Sequence[Any], loss_of: Callable[[Any, Any, Any], Any]
) -> Callable[[Any, Any], list[Any]]:
    @tf.function(reduce_retracing=True)  # type: ignore[untyped-decorator]  # TensorFlow ships no types
    def gradients(inputs: Any, labels: Any) -> list[Any]:
        values = [kernel.value for kernel in kernels]
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(values)
            loss = loss_of(inputs, labels, model(inputs, training=False))
        taken = tape.gradient(loss, values, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        return [tf.cast(tf.convert_to_tensor(gradient), tf.float32) for gradient in taken]

    found: Callable[[Any, Any], list[Any]] = gradients
    return found


def _loss_of_aims(aims: Sequence[tuple[int, Aim]]) -> Callable[[Any, Any, Any], Any]:
    def loss(_: Any, targets: Any, outputs: Any) -> Any:
        flat = keras.tree.flatten(outputs)
        return sum(aim.loss(y, flat[place]) for (place, aim), y in zip(aims, targets, strict=True))

    return loss


def _compiled_loss(model: Any) -> Callable[[Any, Any, Any], Any]:
    return lambda inputs, labels, outputs: model.compute_loss(x=inputs, y=labels, y_pred=outputs)


def _guessed_loss(model: Any) -> Callable[[Any, Any, Any], Any]:
    """Return the loss of a model that was not compiled: cross-entropy for class numbers, else the squared error."""

    def loss(_: Any, labels: Any, outputs: Any) -> Any:
        if isinstance(labels, Mapping) and not isinstance(outputs, Mapping):
            labels = [labels[name] for name in model.output_names]
        pairs = zip(keras.tree.flatten(labels), keras.tree.flatten(outputs), strict=True)
        return sum(_one_loss(tf.convert_to_tensor(y), keras.ops.cast(out, "float32")) for y, out in pairs)

    return loss


def _one_loss(labels: Any, outputs: Any) -> Any:
    if not labels.dtype.is_integer:
        return tf.reduce_mean(tf.square(outputs - tf.cast(tf.reshape(labels, tf.shape(outputs)), tf.float32)))
    if outputs.shape[-1] == 1:
        return tf.reduce_mean(keras.losses.binary_crossentropy(tf.reshape(labels, tf.shape(outputs)), outputs))
    sums_to_one = tf.reduce_all(tf.abs(tf.reduce_sum(outputs, -1) - 1.0) < 1e-3) & tf.reduce_all(outputs >= 0)
    logits = tf.where(sums_to_one, tf.math.log(tf.maximum(outputs, 1e-7)), outputs)
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))

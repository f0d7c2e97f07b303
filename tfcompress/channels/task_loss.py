"""The loss and the score of a model on labelled samples, where the caller has none of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfcompress.errors import DataError
from tfcompress.models.samples import Samples
from tfcompress.models.signature import call, infer, signature_of


def labels_by_output(model: Any, samples: Samples | None, purpose: str) -> dict[str, np.ndarray]:
    """Return the labels of each output, by name.

    Args:
        model: a Keras 3 model.
        samples: with its labels, shape (samples, ...) for each output.
        purpose: what needs them, for the message.

    Raises:
        DataError: there are no samples or labels, or labels of an output that is not there.
    """
    outputs = [spec.name for spec in signature_of(model).outputs]
    if samples is None or samples.labels is None:
        what = "samples" if samples is None else "labels"
        msg = f"{purpose} needs samples with labels, got no {what}; give training data"
        raise DataError(msg)
    named = samples.labels if isinstance(samples.labels, Mapping) else {outputs[0]: samples.labels}
    unknown = [name for name in named if name not in outputs]
    if unknown:
        msg = f"labels must be for the outputs {', '.join(outputs)}, got some for {', '.join(unknown)}"
        raise DataError(msg)
    return {name: np.asarray(values) for name, values in named.items()}


def kind_of(outputs: np.ndarray, labels: np.ndarray) -> str:
    """Tell what labels are: ``classification`` (class numbers), ``binary`` (0 or 1 for one output) or ``regression``.

    Args:
        outputs: the model's, shape (samples, ..., k).
        labels: shape (samples, ...).
    """
    whole = bool(labels.dtype.kind in "iub" or (labels.size and np.equal(labels, np.round(labels)).all()))
    if whole and outputs.shape[-1] > 1 and labels.size * outputs.shape[-1] == outputs.size:
        return "classification"
    if whole and outputs.size == labels.size and set(np.unique(labels)) <= {0, 1}:
        return "binary"
    return "regression"


def loss_of(kind: str, outputs: np.ndarray) -> Any:
    """Return the Keras 3 loss for a kind of labels; probabilities and logits are told apart by the outputs.

    Args:
        kind: see :func:`kind_of`.
        outputs: the model's, on some samples, shape (samples, ..., k).
    """
    if kind == "regression":
        return keras.losses.MeanSquaredError()
    within = bool(outputs.min(initial=0.0) >= 0.0 and outputs.max(initial=0.0) <= 1.0)
    if kind == "binary":
        return keras.losses.BinaryCrossentropy(from_logits=not within)
    sums_to_one = within and bool(np.allclose(outputs.sum(-1), 1.0, atol=1e-3))
    return keras.losses.SparseCategoricalCrossentropy(from_logits=not sums_to_one)


def score_of(model: Any, samples: Samples) -> float:
    """Return the accuracy of the first labelled output on samples; for regression the negative mean squared error.

    Raises:
        DataError: there are no labels.
    """
    kind, outputs, labels = _first_output(model, samples)
    if kind == "classification":
        return float(np.mean(outputs.argmax(-1).reshape(-1) == labels.reshape(-1)))
    if kind == "binary":
        threshold = 0.5 if outputs.min() >= 0.0 and outputs.max() <= 1.0 else 0.0
        return float(np.mean((outputs.reshape(-1) > threshold) == (labels.reshape(-1) == 1)))
    return -float(np.mean((outputs.reshape(-1).astype(np.float64) - labels.reshape(-1)) ** 2))


def is_fraction(model: Any, samples: Samples) -> bool:
    """Tell whether :func:`score_of` gives an accuracy for these samples."""
    return _first_output(model, samples)[0] != "regression"


def _first_output(model: Any, samples: Samples) -> tuple[str, np.ndarray, np.ndarray]:
    name, labels = next(iter(labels_by_output(model, samples, "a score").items()))
    outputs = call(model, samples.inputs)[name]
    return kind_of(outputs, labels), outputs, labels


def gradients(
    model: Any, variables: list[Any], samples: Samples, *, batch_size: int, purpose: str
) -> Iterator[list[np.ndarray]]:
    """Give the gradients of the loss with respect to variables, batch by batch, the model in inference mode.

    Args:
        model: a Keras 3 model; its weights are left alone.
        variables: Keras variables of it.
        samples: with labels.
        batch_size: samples behind one gradient.
        purpose: what needs them, for the message.

    Yields:
        An array of each variable's shape; zeros where the loss does not depend on it.

    Raises:
        DataError: there are no labels.
    """
    labels = labels_by_output(model, samples, purpose)
    some = call(model, {name: values[:batch_size] for name, values in samples.inputs.items()})
    losses = {name: loss_of(kind_of(some[name], y[:batch_size]), some[name]) for name, y in labels.items()}
    values = [variable.value for variable in variables]

    def step(inputs: dict[str, Any], truth: dict[str, Any]) -> list[Any]:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(values)
            outputs = infer(model, inputs)
            loss = tf.add_n([losses[name](y, outputs[name]) for name, y in truth.items()])
        found = tape.gradient(loss, values, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        return [tf.convert_to_tensor(gradient) for gradient in found]  # an embedding's comes in slices

    run = tf.function(step, reduce_retracing=True, autograph=False)
    size = len(next(iter(samples.inputs.values())))
    for start in range(0, size - size % min(batch_size, size), min(batch_size, size)):
        part = slice(start, start + batch_size)
        inputs = {name: tf.constant(x[part]) for name, x in samples.inputs.items()}
        yield [g.numpy() for g in run(inputs, {name: tf.constant(y[part]) for name, y in labels.items()})]

"""The loss and the score of a model on labelled samples, where the caller has none of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfcompress.data.labels import LabelCoder, infer_labels
from tfcompress.errors import DataError
from tfcompress.models.samples import Samples
from tfcompress.models.signature import call, infer_outputs, signature_of
from tfcompress.models.specs import TensorSpec
from tfcompress.tasks.figures import FigureKind
from tfcompress.tasks.task import Task


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


def score_of(model: Any, samples: Samples) -> float:
    """Return the main figure of the first labelled output on samples, its sign turned where lower is better.

    Raises:
        DataError: there are no labels, or they don't fit the output.
    """
    name, labels = _first(model, samples)
    outputs = call(model, samples.inputs)[name]
    coder = _coder(name, outputs, labels, samples.tasks)
    scorer = coder.task.scorer()
    scorer.add(outputs, _encoded(coder, labels), samples.inputs)
    merit = scorer.evaluation().score.main_figure.merit
    return float("-inf") if merit is None else merit


def main_kind(model: Any, samples: Samples) -> FigureKind:
    """Return what :func:`score_of` gives for these samples.

    Raises:
        DataError: there are no labels, or they don't fit the output.
    """
    name, labels = _first(model, samples)
    outputs = call(model, {key: values[:1] for key, values in samples.inputs.items()})[name]
    return _coder(name, outputs, labels, samples.tasks).task.main_kind


def _first(model: Any, samples: Samples) -> tuple[str, np.ndarray]:
    return next(iter(labels_by_output(model, samples, "a score").items()))


def _coder(name: str, outputs: np.ndarray, labels: np.ndarray, tasks: Mapping[str, Task]) -> LabelCoder:
    where = f"the labels of {name!r}"
    if name in tasks:
        return LabelCoder(tasks[name], tasks[name].form(labels, outputs.shape[1:], where))
    return infer_labels(labels, TensorSpec(name, outputs.shape[1:], str(outputs.dtype)), where)


def _encoded(coder: LabelCoder, labels: np.ndarray) -> np.ndarray:
    return coder.encode(labels, np.arange(len(labels)))


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
    coders = {name: _coder(name, some[name], y, samples.tasks) for name, y in labels.items()}
    losses = {name: coder.task.loss(some[name], keras) for name, coder in coders.items()}
    labels = {name: _encoded(coders[name], y) for name, y in labels.items()}
    values = [variable.value for variable in variables]

    def step(inputs: dict[str, Any], truth: dict[str, Any]) -> list[Any]:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(values)
            outputs = infer_outputs(model, inputs)
            loss = tf.add_n([losses[name](y, outputs[name]) for name, y in truth.items()])
        found = tape.gradient(loss, values, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        return [tf.convert_to_tensor(gradient) for gradient in found]  # an embedding's comes in slices

    run = tf.function(step, reduce_retracing=True, autograph=False)
    size = len(next(iter(samples.inputs.values())))
    for start in range(0, size - size % min(batch_size, size), min(batch_size, size)):
        part = slice(start, start + batch_size)
        inputs = {name: tf.constant(x[part]) for name, x in samples.inputs.items()}
        yield [g.numpy() for g in run(inputs, {name: tf.constant(y[part]) for name, y in labels.items()})]

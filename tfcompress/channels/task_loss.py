"""The loss and the score of a model on labelled samples, where the caller has none of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfcompress.data.labels import LabelCoder, infer_labels
from tfcompress.errors import DataError
from tfcompress.models.samples import Aim, Samples
from tfcompress.models.signature import call, infer_outputs, signature_of
from tfcompress.models.specs import TensorSpec
from tfcompress.tasks.figures import AREA
from tfcompress.tasks.score import Figure, Score
from tfcompress.tasks.task import Task

LIKENESS = "cosine_agreement"
"""The figure of directions beside those of the float model."""


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


def score_of(model: Any, samples: Samples) -> Score:
    """Return the score of the first output on samples that has labels, or a task that needs none.

    Labels of directions that are vectors are scored by the mean cosine.

    Raises:
        DataError: there are no labels, or they don't fit the output.
    """
    name, labels = _first(model, samples)
    outputs = call(model, samples.inputs)[name]
    task, encoded = samples.tasks.get(name), labels
    if task is not None and task.teaching == "directions" and labels is not None and labels.shape == outputs.shape:
        return _likeness(task, outputs, labels)
    if task is None and labels is not None:
        coder = _coder(name, outputs, labels)
        task, encoded = coder.task, coder.encode(labels, np.arange(len(labels)))
    scorer = task.scorer()  # type: ignore[union-attr]  # without a task there are labels: see _first
    scorer.add(outputs, encoded, samples.inputs)
    return scorer.evaluation().score


def merit_of(score: Score) -> float:
    """Return the main figure, its sign turned where lower is better; the least there is where it is not known."""
    merit = score.main_figure.merit
    return float("-inf") if merit is None else merit


def _likeness(task: Task, outputs: np.ndarray, wanted: np.ndarray) -> Score:
    """Return the mean cosine between vectors along the last axis, which two that are zero have none of."""
    products = (outputs.astype(np.float64) * wanted).sum(-1)
    lengths = np.linalg.norm(outputs, axis=-1) * np.linalg.norm(wanted, axis=-1)
    cosines = products / np.maximum(lengths, np.finfo(np.float32).tiny)
    return Score(
        task=task.name,
        samples=len(outputs),
        main=LIKENESS,
        figures={LIKENESS: Figure(float(cosines.mean()), unit=AREA)},
    )


def _first(model: Any, samples: Samples) -> tuple[str, np.ndarray | None]:
    """Return the name of the output that is scored, and its labels, if its task needs any."""
    if samples.labels is None:
        found = next((name for name, task in samples.tasks.items() if not task.needs_labels), None)
        if found is not None:
            return found, None
    return next(iter(labels_by_output(model, samples, "a score").items()))


def _coder(name: str, outputs: np.ndarray, labels: np.ndarray) -> LabelCoder:
    return infer_labels(labels, TensorSpec(name, outputs.shape[1:], str(outputs.dtype)), f"the labels of {name!r}")


def _aims(model: Any, samples: Samples, batch_size: int, purpose: str) -> Sequence[Aim | None]:
    """Return what each output is trained by, in their order.

    Raises:
        DataError: there are neither aims nor labels, or labels that do not fit.
    """
    if samples.aims is not None:
        return samples.aims()
    labels = labels_by_output(model, samples, purpose)
    some = call(model, {name: values[:batch_size] for name, values in samples.inputs.items()})
    found: list[Aim | None] = []
    for name, own in some.items():
        if name not in labels:
            found.append(None)
            continue
        coder = None if name in samples.tasks else _coder(name, own, labels[name])
        y = labels[name] if coder is None else coder.encode(labels[name], np.arange(len(labels[name])))
        task = samples.tasks[name] if coder is None else coder.task
        found.append(Aim(task.loss(own, keras), task.targets(samples.inputs, y)))
    return found


def gradients(
    model: Any, variables: list[Any], samples: Samples, *, batch_size: int, purpose: str
) -> Iterator[list[np.ndarray]]:
    """Give the gradients of the loss with respect to variables, batch by batch, the model in inference mode.

    Args:
        model: a Keras 3 model; its weights are left alone.
        variables: Keras variables of it.
        samples: with aims or labels.
        batch_size: samples behind one gradient.
        purpose: what needs them, for the message.

    Yields:
        An array of each variable's shape; zeros where the loss does not depend on it.

    Raises:
        DataError: there are neither aims nor labels.
    """
    aims = _aims(model, samples, batch_size, purpose)
    aimed = [(place, aim) for place, aim in enumerate(aims) if aim is not None]
    values = [variable.value for variable in variables]

    def step(inputs: dict[str, Any], truth: list[Any]) -> list[Any]:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(values)
            outputs = list(infer_outputs(model, inputs).values())
            loss = tf.add_n([aim.loss(y, outputs[place]) for (place, aim), y in zip(aimed, truth, strict=True)])
        found = tape.gradient(loss, values, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        return [tf.convert_to_tensor(gradient) for gradient in found]  # an embedding's comes in slices

    run = tf.function(step, reduce_retracing=True, autograph=False)
    size = len(next(iter(samples.inputs.values())))
    for start in range(0, size - size % min(batch_size, size), min(batch_size, size)):
        part = slice(start, start + batch_size)
        inputs = {name: tf.constant(x[part]) for name, x in samples.inputs.items()}
        yield [g.numpy() for g in run(inputs, [tf.constant(aim.targets[part]) for _, aim in aimed])]

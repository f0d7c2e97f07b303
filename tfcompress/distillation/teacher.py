"""Letting a model learn from another one's outputs, beside its labels (Hinton et al. 2015, arXiv:1503.02531)."""

from __future__ import annotations

from typing import Any

import keras

from tfcompress.errors import UsageError
from tfcompress.models import keras_private
from tfcompress.recipe import Distill
from tfcompress.tasks.task_table import trained_by

LEAST = 1e-7
"""Probabilities are not taken for less, since their logarithm is used."""


class Teacher:
    """A frozen model and how a student is compared with it; no layer, so that nothing of it is saved with the student.

    Attributes:
        model: the teacher.
        stage: temperature and weight.
    """

    def __init__(self, model: Any, stage: Distill) -> None:
        self.model, self.stage = model, stage

    def loss(self, inputs: Any, outputs: Any, task: Any) -> Any:
        """Return how far a student is from the teacher, scalar; summed over the outputs, averaged over the rest.

        Args:
            inputs: a batch, as the teacher takes it.
            outputs: what the student makes of it.
            task: what was given as loss to the student's ``compile``; tells class scores from other numbers.
        """
        ops = keras.ops
        wanted = keras.tree.flatten(self.model(inputs, training=False))
        got = keras.tree.flatten(outputs)
        pairs = zip(wanted, got, self._kinds(task, len(got)), strict=True)
        return sum(
            _DISTANCES[kind](ops.stop_gradient(ops.cast(a, "float32")), ops.cast(b, "float32"), self.stage.temperature)
            for a, b, kind in pairs
        )

    def _kinds(self, task: Any, count: int) -> list[str]:
        losses = keras.tree.flatten(task) if isinstance(task, (list, tuple, dict)) else [task] * count
        activations = [_last_activation(tensor) for tensor in self.model.outputs]
        losses = losses if len(losses) == count else [None] * count
        return [_kind(loss, activation) for loss, activation in zip(losses, activations, strict=True)]


def _last_activation(tensor: Any) -> str:
    layer = keras_private.origin(tensor)
    if isinstance(layer, keras.Model):
        return _last_activation(layer.outputs[0])
    if isinstance(layer, keras.layers.Softmax):
        return "softmax"
    return str(getattr(getattr(layer, "activation", None), "__name__", type(layer).__name__.lower()))


def _kind(loss: Any, activation: str) -> str:
    """Say what an output is: probabilities, logits, the same of yes or no, or plain numbers."""
    if activation in ("softmax", "sigmoid"):
        return activation
    name = (loss if isinstance(loss, str) else getattr(loss, "name", None) or getattr(loss, "__name__", "")) or ""
    return trained_by(name).teaching


def _from_logits(teacher: Any, student: Any, temperature: float) -> Any:
    """``T**2 * KL(softmax(teacher / T) || softmax(student / T))`` (section 2.1 for the factor), over the last axis."""
    ops = keras.ops
    log_p, log_q = ops.log_softmax(teacher / temperature), ops.log_softmax(student / temperature)
    return temperature**2 * ops.mean(ops.sum(ops.exp(log_p) * (log_p - log_q), axis=-1))


def _from_probabilities(teacher: Any, student: Any, temperature: float) -> Any:
    return _from_logits(_logarithm(teacher), _logarithm(student), temperature)


def _from_binary_logits(teacher: Any, student: Any, temperature: float) -> Any:
    ops = keras.ops
    of_teacher, of_student = (ops.stack([ops.zeros_like(x), x], axis=-1) for x in (teacher, student))
    return _from_logits(of_teacher, of_student, temperature)


def _from_sigmoid(teacher: Any, student: Any, temperature: float) -> Any:
    of_teacher, of_student = (_logarithm(x) - _logarithm(1.0 - x) for x in (teacher, student))
    return _from_binary_logits(of_teacher, of_student, temperature)


def _squared(teacher: Any, student: Any, _: float) -> Any:
    return keras.ops.mean(keras.ops.square(teacher - student))


def _logarithm(probabilities: Any) -> Any:
    return keras.ops.log(keras.ops.clip(probabilities, LEAST, 1.0))


_DISTANCES = {
    "softmax": _from_probabilities,
    "logits": _from_logits,
    "sigmoid": _from_sigmoid,
    "binary logits": _from_binary_logits,
    "numbers": _squared,
}


def learn_from_(model: Any, teacher: Teacher) -> None:
    """Make the training loss of *model* ``(1 - weight) * task + weight * teacher``; its evaluation stays as it is.

    The method is replaced on this one model: its class, and with it what a file says of it, stay Keras's own, so that a
    checkpoint loads as a plain model without a teacher.

    Args:
        model: functional or Sequential; compiled later, by whoever trains it.
        teacher: whom to learn from.
    """
    task_loss = model.compute_loss
    weight = teacher.stage.weight

    def compute_loss(
        x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Any:
        """Return the loss of a batch: of task and teacher in training, of the task alone in evaluation.

        Raises:
            UsageError: the inputs or outputs are missing.
        """
        if not training:
            return task_loss(x, y, y_pred, sample_weight, training)
        if x is None or y_pred is None:
            msg = "compute_loss of a distilled model needs x and y_pred (its teacher looks at x), got None; give both"
            raise UsageError(msg)
        from_teacher = weight * teacher.loss(x, y_pred, getattr(model, "loss", None))
        if weight == 1:
            return from_teacher
        return (1.0 - weight) * task_loss(x, y, y_pred, sample_weight, training) + from_teacher

    model.compute_loss = compute_loss

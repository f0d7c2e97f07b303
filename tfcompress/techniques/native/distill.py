"""Letting a model learn from another one's outputs, beside its labels (Hinton et al. 2015, arXiv:1503.02531)."""

from __future__ import annotations

from typing import Any

import keras

from tfcompress.errors import UsageError
from tfcompress.recipe import Distill

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
    layer = tensor._keras_history.operation
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
    name = name.lower().replace("_", "")
    if "binarycrossentropy" in name:
        return "binary logits"
    return "logits" if "crossentropy" in name else "numbers"


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


class Distilled(keras.Model):  # type: ignore[misc]  # Keras ships no types
    """A functional model whose training loss has a teacher in it; loaded from a file, a plain one without."""

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """Return ``(1 - weight) * task + weight * teacher``; in evaluation the loss of the task alone.

        Args:
            x: a batch of inputs.
            y: its labels, for the loss given to ``compile``.
            y_pred: the model's outputs.
            sample_weight: weights of the samples in the task's loss.
            training: whether this is a training step.

        Raises:
            UsageError: the inputs or outputs are missing.
        """
        if not training:
            return super().compute_loss(x, y, y_pred, sample_weight, training)
        if x is None or y_pred is None:
            msg = "compute_loss of a distilled model needs x and y_pred (its teacher looks at x), got None; give both"
            raise UsageError(msg)
        weight = self.teacher.stage.weight
        task = super().compute_loss(x, y, y_pred, sample_weight, training) if weight < 1 else 0.0
        return (1.0 - weight) * task + weight * self.teacher.loss(x, y_pred, self.loss)

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Any:
        """Return a plain functional model: the teacher is not in the file."""
        return keras.Model.from_config(config, custom_objects=custom_objects)


def distilled(model: Any, teacher: Teacher) -> Any:
    """Return a functional model of the very layers of *model* that trains towards *teacher*."""
    sequential = isinstance(model, keras.Sequential)
    given = (model.inputs[0], model.outputs[0]) if sequential else (model.input, model.output)
    new = Distilled(*given, name=model.name)
    new.teacher = teacher
    return new

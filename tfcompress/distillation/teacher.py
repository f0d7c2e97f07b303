"""Letting a model learn from another one's outputs, beside its labels (Hinton et al. 2015, arXiv:1503.02531)."""

from __future__ import annotations

from typing import Any

import keras

from tfcompress.distillation.distances import distances
from tfcompress.errors import UsageError
from tfcompress.models.graph import last_activation
from tfcompress.recipe import Distill
from tfcompress.tasks.task_table import trained_by


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
        return sum(ops.mean(distances(kind, a, b, self.stage.temperature)) for a, b, kind in pairs)

    def _kinds(self, task: Any, count: int) -> list[str]:
        activations = [last_activation(tensor) for tensor in self.model.outputs]
        return [_kind(loss, name) for loss, name in zip(_in_order(task, self.model, count), activations, strict=True)]


def _in_order(task: Any, model: Any, count: int) -> list[Any]:
    """Return what was given as loss to ``compile`` for each output, in the order in which *model* has them."""
    if isinstance(task, dict) and set(task) <= set(model.output_names):
        return [task.get(name) for name in model.output_names]
    losses = keras.tree.flatten(task) if isinstance(task, (list, tuple, dict)) else [task] * count
    return losses if len(losses) == count else [None] * count


def _kind(loss: Any, activation: str) -> str:
    """Say what an output is: probabilities, logits, the same of yes or no, directions, or plain numbers."""
    known = getattr(loss, "teaching", None)
    if known or activation in ("softmax", "sigmoid"):
        return str(known or activation)
    name = (loss if isinstance(loss, str) else getattr(loss, "name", None) or getattr(loss, "__name__", "")) or ""
    return trained_by(name).teaching


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

"""Labels as data files hold them: numbers or refused, and coded as the task of their output has them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tfcompress.errors import DataError
from tfcompress.tasks import task_table
from tfcompress.tasks.label_form import LabelForm
from tfcompress.tasks.labelling import UNSAID, Labelling
from tfcompress.tasks.task import Task

if TYPE_CHECKING:
    from tfcompress.models.specs import TensorSpec
    from tfcompress.tasks.traits import OutputTraits


@dataclass(frozen=True)
class LabelCoder:
    """Brings the labels of one output into their one form, and rejects invalid ones.

    Attributes:
        task: what they mean.
        form: how they come.
        why: what decided the task, for people; empty where the user said it.
        decided: whether the model decided, where labels alone suggest another task, or would have, had they
            fitted.
        places: the number that the task gives to each number as stored, where they are the places of names; empty: the
            same.
        otherwise: what to say where labels are refused that are none of the task that the model is for.
    """

    task: Task
    form: LabelForm
    why: str = ""
    decided: bool = False
    places: tuple[int, ...] = ()
    otherwise: str = ""

    @property
    def where(self) -> str:
        """What messages call the labels: ``y_train``."""
        return self.form.where

    @property
    def classes(self) -> int | None:
        """Number of classes; None for a task without."""
        return self.task.classes(self.form.shape)

    def occurring(self, y: np.ndarray) -> np.ndarray | None:
        """Return how often each class occurs among encoded labels; see :meth:`Task.occurring`."""
        return self.task.occurring(y, self.form.shape)

    def encode(self, y: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Return one batch of labels in the one form of their task.

        Args:
            y: labels as stored, shape (samples, ...).
            rows: the samples' numbers, for messages.

        Raises:
            DataError: text, values out of range or not finite, a shape that does not fit.
        """
        check_numbers(y, self.where)
        if self.places:
            y = np.asarray(self.places)[y.astype(np.int64)]
        try:
            return self.task.encode(y, rows, self.form)
        except DataError as error:
            if not self.otherwise or "--task" in str(error):
                raise
            msg = f"{error}; {self.otherwise}"
            raise DataError(msg) from None


def infer_labels(
    y: np.ndarray,
    output: TensorSpec,
    where: str,
    *,
    inputs: Sequence[TensorSpec] = (),
    labelling: Labelling = UNSAID,
) -> LabelCoder:
    """Tell from a sample of the labels what they mean for *output*, unless the user said it.

    Args:
        y: some labels as stored, shape (samples, ...).
        output: the model's output.
        where: what messages call the labels.
        inputs: the model's.
        labelling: what the user said.

    Raises:
        DataError: text, a shape that fits no task, or labels that are none of the task that the user said.
        UsageError: a task that there is not.
    """
    check_numbers(y, where)
    task = task_table.said_task(labelling, output.name)
    if task is not None:
        return _said(task, y, output, where)
    shapes = {spec.name: spec.shape for spec in inputs}
    task = task_table.task_of(y, output.shape, shapes, labelling, output.traits)
    if task is None:
        msg = (
            f"data: {where} has shape {y.shape[1:]} for each sample, the model's output {output.name!r} has "
            f"{output.shape}; give {task_table.allowed(output.shape, shapes)}"
        )
        raise DataError(msg)
    meant = task_table.task_of_outputs(y, output.shape, shapes, labelling, output.traits) if task.any_numbers else None
    if meant is not None:
        otherwise = f"{_for(output.traits)}; --task {task.name} takes other numbers"
        return _coder(meant, y, output, where, why=_why(meant, output), otherwise=otherwise)
    first = task_table.task_of(y, output.shape, shapes, labelling)
    answering = task.any_numbers and output.traits.answering_loss is not None
    decided = answering or (first is not None and first.name != task.name)
    return _coder(task, y, output, where, why=_why(task, output), decided=decided)


def _for(traits: OutputTraits) -> str:
    """Return in words what tells that an output answers a question and gives no numbers."""
    if traits.loss is not None and traits.loss.lower() == traits.answering_loss:
        return f"the model was compiled with {traits.loss}"
    return f"the model ends in {traits.activation}"


def _why(task: Task, output: TensorSpec) -> str:
    """Return in words what decided the task of an output that nobody gave."""
    traits = output.traits
    if traits.telling_loss is not None and task.compiled_with(traits.telling_loss):
        return f"its labels and the loss that the model was compiled with, {traits.loss}"
    if traits.telling_loss is not None and task.any_numbers:
        return f"its labels, which are of no task that {traits.loss} trains"
    return f"its labels{f' and its activation, {traits.activation}' if traits.activation else ''}"


def _said(task: Task, y: np.ndarray, output: TensorSpec, where: str) -> LabelCoder:
    if not task.takes(y, output.shape):
        takes = task.allowed(output.shape)
        msg = (
            f"data: {where} has shape {y.shape[1:]} and dtype {y.dtype} for each sample, and task {task.name} of "
            f"output {output.name!r}, {output.shape}, takes {takes or 'no labels for such an output'}"
        )
        raise DataError(msg)
    return _coder(task, y, output, where)


def _coder(
    task: Task,
    y: np.ndarray,
    output: TensorSpec,
    where: str,
    *,
    why: str = "",
    decided: bool = False,
    otherwise: str = "",
) -> LabelCoder:
    form = task.form(y, output.shape, where)
    return LabelCoder(task.formed(form), form, why, decided, otherwise=otherwise)


def check_numbers(y: np.ndarray, where: str) -> None:
    """Refuse labels that are not numbers.

    Raises:
        DataError: saying what they are and what to give.
    """
    if y.dtype.kind in "USOT":
        example = f" such as {str(y.reshape(-1)[0])!r:.80}" if y.size and is_text(y[:1]) else ""
        msg = (
            f"data: {where} holds labels as strings{example}; give whole numbers 0..k-1, as the model's outputs go, or "
            "all the names in that order by --classes A,B,..."
        )
        raise DataError(msg)
    if y.dtype.kind not in "biuf":
        msg = f"data: {where} must hold numbers, got dtype {y.dtype}"
        raise DataError(msg)


def is_text(y: np.ndarray) -> bool:
    """Tell whether every character of *y* (any text or bytes) is one: out of a file may come any 32 bits."""
    if y.dtype.kind != "U" or not y.size:
        return True
    codes = np.ascontiguousarray(y.astype(y.dtype.newbyteorder("="))).reshape(-1).view(np.uint32)
    return bool(codes.max() <= sys.maxunicode and not np.any((codes >= 0xD800) & (codes <= 0xDFFF)))

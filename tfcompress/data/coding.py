"""What the labels mean: decided once, from every split together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from tfcompress.data.adapt import Adapter
from tfcompress.data.labels import LabelCoder, check_numbers, infer_labels
from tfcompress.data.raw import Labels
from tfcompress.errors import DataError, UsageError, nearest
from tfcompress.tasks import task_table
from tfcompress.tasks.labelling import UNSAID, Labelling
from tfcompress.tasks.task import Task

if TYPE_CHECKING:
    from tfcompress.models.specs import Signature, TensorSpec


def coders_for(
    peeks: Mapping[str, tuple[Adapter, Labels]], labelling: Labelling = UNSAID
) -> dict[str, dict[str, LabelCoder]]:
    """Tell what the labels of each output mean, from samples of all splits.

    Splits may hold them in different forms (class numbers here, one-hot there), never for different tasks. Samples
    without a label (NaN) say nothing; they are refused where they are read.

    Args:
        peeks: by split, its adapter (without coders) and some of its labels, or None.
        labelling: what the user said about tasks.

    Returns:
        By split and output name.

    Raises:
        DataError: labels that fit no task, not the one that was said, or another one in each split.
        UsageError: a task that there is not, or for an output that there is not.
    """
    found: dict[str, dict[str, LabelCoder]] = {name: {} for name in peeks}
    for output in _outputs(peeks):
        parts = {
            name: (adapter.by_output(y)[output.name], adapter.labels_where(output.name, y))
            for name, (adapter, y) in peeks.items()
            if y is not None and output.name in adapter.by_output(y)
        }
        for name, coder in _coders(parts, output, _inputs(peeks), labelling).items():
            found[name][output.name] = coder
    return found


def _outputs(peeks: Mapping[str, tuple[Adapter, Labels]]) -> tuple[TensorSpec, ...]:
    return next(iter(peeks.values()))[0].signature.outputs if peeks else ()


def _inputs(peeks: Mapping[str, tuple[Adapter, Labels]]) -> tuple[TensorSpec, ...]:
    return next(iter(peeks.values()))[0].signature.inputs


def _coders(
    parts: Mapping[str, tuple[np.ndarray, str]],
    output: TensorSpec,
    inputs: tuple[TensorSpec, ...],
    labelling: Labelling,
) -> dict[str, LabelCoder]:
    """Return the coder of each split's labels, given ``(labels, where)`` by split."""
    coders: dict[str, LabelCoder] = {}
    for name, (y, where) in parts.items():
        check_numbers(y, where)
        alike = [other for other, _ in parts.values() if other.shape[1:] == y.shape[1:] and other.dtype.kind in "biuf"]
        some = _labelled(np.concatenate(alike))
        coders[name] = infer_labels(some, output, where, inputs=inputs, labelling=labelling)
    tasks = {coder.task.name for coder in coders.values()}
    if len(tasks) > 1:
        told = ", ".join(f"{coder.where} would be {coder.task.name}" for coder in coders.values())
        msg = f"data: the labels of output {output.name!r} must mean the same in every split: {told}"
        raise DataError(msg)
    return coders


def _labelled(y: np.ndarray) -> np.ndarray:
    """Return the samples that have a label; all of them where none has."""
    if y.dtype.kind != "f":
        return y
    good = ~np.isnan(y).reshape(len(y), -1).any(axis=1)
    return y[good] if good.any() else y


def unlabelled_tasks(labelling: Labelling, signature: Signature) -> dict[str, Task]:
    """Return the task of each output for which the user said one that needs no labels, by name."""
    said = {spec.name: task_table.said_task(labelling, spec.name) for spec in signature.outputs}
    return {name: task for name, task in said.items() if task is not None and not task.needs_labels}


def check_labelling(labelling: Labelling, signature: Signature) -> None:
    """Refuse what was said about outputs that there are not.

    Raises:
        UsageError: naming the outputs.
    """
    outputs = [spec.name for spec in signature.outputs]
    for flag, names in (("--task", labelling.by_output), ("--main-output", [labelling.main_output or ""])):
        unknown = next((name for name in names if name and name not in outputs), None)
        if unknown is not None:
            msg = (
                f"{flag} must name one of the model's outputs ({', '.join(outputs)}), got {unknown!r}"
                f"{nearest(unknown, outputs)}"
            )
            raise UsageError(msg)
